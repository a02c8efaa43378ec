# A setting is set on both sides. The side that changed it twice has the later word when they meet; what only one side
# set is not lost.
shows R1 R3

fleet of 2 bolts and 3 envoys
split bolt1 env1 | bolt2 env2 env3
set converge.interval=60 at bolt1
set converge.interval=120 at bolt2
bolt2 env2 env3 say converge.interval=120 within 30s
set converge.interval=240 at env3
set converge.splay=7 at bolt1
bolt1 env1 say converge.interval=60 within 30s
bolt2 env2 env3 say converge.interval=240 within 30s
bolt2 env2 env3 say converge.splay=30 within 30s
heal
everyone says converge.interval=240 within 60s
everyone says converge.splay=7 within 60s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2 env1 env2 env3": {"is": "member", "epoch": null, "head": null, "ran": null}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3": {"converge.interval": 240, "converge.splay": 7}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
