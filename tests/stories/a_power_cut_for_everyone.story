# Power goes everywhere at once, right after a publish was acknowledged. What was acknowledged is there when power is
# back, whoever starts first.
shows R4

fleet of 2 bolts and 2 envoys
publish A at bolt1
everyone runs A within 30s
set converge.interval=99 at env1
publish B at bolt1
kill -9 everyone
start env1 env2
start bolt1 bolt2
everyone runs B within 60s
everyone says converge.interval=99 within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 env1 env2": {"converge.interval": 99}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt", "env1": "active envoy", "env2": "active envoy"
  }}
}
