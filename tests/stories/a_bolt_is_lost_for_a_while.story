# The bolt that founded the fleet is killed. The other one lets a machine in and takes a publish; the first has both when
# it is back.
shows R1 R4

fleet of 2 bolts and 2 envoys
publish A at bolt1
everyone runs A within 30s
everyone agrees within 30s
kill -9 bolt1
join new1 as envoy through bolt2
new1 runs A within 60s
publish B at bolt2
everyone runs B within 30s
start bolt1
everyone runs B within 60s
bolts list new1 as active within 60s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "bolt*"},
    "env1 new1": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 env1 env2 new1": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "new1": "active envoy"
  }}
}
