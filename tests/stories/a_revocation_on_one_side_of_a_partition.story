# An envoy is revoked where it is not. On its own side it works on until the sides meet; then it is out on both, and
# what others published meanwhile counts.
shows R3 R10

fleet of 2 bolts and 4 envoys
publish A at bolt1
everyone runs A within 30s
split bolt1 env1 env2 | bolt2 env3 env4
revoke env3 through bolt1
publish B at bolt2
bolt2 env3 env4 run B within 30s
bolt1 env1 env2 never ran B
heal
everyone runs B within 60s
env3 is cut off within 30s
env3 knows that it is revoked within 30s
publish C at bolt1
everyone runs C within 30s
wait 3s
env3 never ran C
bolts list env3 as revoked within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"},
    "env3": {"is": "revoked", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*"},
    "env4": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env4": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "revoked envoy", "env4": "active envoy"
  }}
}
