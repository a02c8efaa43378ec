# No bolt is up. A late envoy has the newest from other envoys, a publish goes in through one of them and reaches the
# rest; the bolts have it when they are back.
shows R3

fleet of 2 bolts and 4 envoys
publish A at bolt1
everyone runs A within 30s
stop env4
publish B at bolt2
all but env4 run B within 30s
stop bolt1 bolt2
start env4
env4 runs B within 60s
publish C at env2
everyone runs C within 60s
start bolt1 bolt2
everyone runs C within 60s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"},
    "env3 env4": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3 env4": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy", "env4": "active envoy"
  }}
}
