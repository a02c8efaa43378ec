# A machine that joins through the second bolt, after much has happened, goes straight to the newest. A bolt that joins
# holds all that bolts hold.
shows R1

fleet of 2 bolts and 2 envoys
publish A at bolt1
everyone runs A within 30s
set converge.interval=77 at bolt1
publish B at bolt1
everyone runs B within 30s
join new1 as envoy through bolt2
new1 runs B within 60s
new1 never ran A
new1 says converge.interval=77 within 30s
join bolt3 as bolt through bolt2
everyone runs B within 60s
bolts list new1 as active within 60s
everyone agrees within 60s
publish C at new1
everyone runs C within 30s

ends
{
  "machines": {
    "bolt1 bolt2 bolt3": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1 new1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 bolt3 env1 env2 new1": {"converge.interval": 77}},
  "members": {"bolt1 bolt2 bolt3": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt", "bolt3": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "new1": "active envoy"
  }}
}
