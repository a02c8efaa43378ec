# An envoy loses power while a publish is on its way, and again right after it has started. It comes back as the same
# member, and to the newest.
shows R1 R4

fleet of 1 bolt and 3 envoys
publish A at bolt1
everyone runs A within 30s
publish B at env1
kill -9 env2
bolt1 env1 env3 run B within 30s
start env2
kill -9 env2
start env2
env2 runs B within 60s
kill -9 env1
publish C at bolt1
env2 env3 run C within 30s
start env1
everyone runs C within 60s
bolts list env2 as active within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"},
    "env3": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*"}
  },
  "settings": {"bolt1 env1 env2 env3": {}},
  "members": {"bolt1": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
