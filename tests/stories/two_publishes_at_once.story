# Two operators' desks publish from the same state at the same moment, each through a bolt. Whoever hears of the other's
# before its own is taken is refused, and does it again; else both are taken and everybody chooses the same of them. The
# next publish stands above both either way.
shows R1

fleet of 2 bolts and 2 envoys
publish A at bolt1
everyone runs A within 30s
publish B1 at bolt1 and B2 at bolt2 at once
everyone agrees within 30s
publish C at env1
everyone runs C within 30s
everyone agrees within 30s

ends without epochs
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1": {"is": "member", "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 env1 env2": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt", "env1": "active envoy", "env2": "active envoy"
  }}
}
