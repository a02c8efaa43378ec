//! The steps of a story, and the forms of words in which they are written.
//!
//! A form is a line of literal words and holes in capitals. [`FORMS`] is the whole grammar: what is not in it cannot
//! be said. Whether the words of a line fit a form is decided in [`super::parse`]; here a line that fits becomes a
//! [`Step`].

use std::time::Duration;

use serde_json::Value;

/// One thing that is done, or that must come to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Founds the fleet: `bolt1…` and `env1…`, all running and with peers.
    Fleet { bolts: u64, envoys: u64 },
    /// A machine comes and joins with a token that `through` makes.
    Join { name: String, bolt: bool, through: String, nat: bool },
    /// Publishes a tree that says the label, through each of these machines, at once if there are several.
    Publish(Vec<(String, String)>),
    /// Nobody can publish through that machine.
    PublishIsRefused { at: String },
    /// The machines come to run a publish, and say so.
    Run { who: Who, label: String, within: Duration },
    /// The machines never ran a publish until now.
    NeverRan { who: Who, label: String },
    /// The machines know a publish as the newest.
    Head { who: Who, label: String, within: Duration },
    /// Nothing passes between the two sides.
    Split(Vec<String>, Vec<String>),
    /// Whatever was cut is mended.
    Heal,
    /// What `from` sends does not arrive at `to`.
    Deaf { to: String, from: String },
    /// Sets a fleet setting.
    Set { key: String, value: Value, at: String },
    /// The machines have a setting at that value.
    Say { who: Who, key: String, value: Value, within: Duration },
    /// The machines know the same publishes, settings, members and authority.
    Agree { who: Who, within: Duration },
    /// Ends nodes as a loss of power does.
    Kill(Who),
    /// Ends nodes in order.
    Stop(Who),
    /// Starts nodes that are off.
    Start(Who),
    /// An operator takes a machine's key out of the fleet.
    Revoke { name: String, through: String },
    /// Nobody holds a connection with it any more, nor it with anybody.
    CutOff { name: String, within: Duration },
    /// It was told that it is revoked.
    Knows { name: String, within: Duration },
    /// Every bolt that runs lists a machine in this state.
    Listed { name: String, state: String, within: Duration },
    /// A machine's clock is wrong by so many seconds when it starts the next time.
    Clock { name: String, seconds: i64 },
    /// Remembers a machine's disk as it is.
    Mark { name: String, mark: String },
    /// Puts a machine's disk back to what it was.
    RollBack { name: String, mark: String },
    /// Lets time pass.
    Wait(Duration),
}

/// Which machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// All that it can mean: those that run and are members; to start, those that are off.
    Everyone,
    /// All but these.
    AllBut(Vec<String>),
    /// These.
    These(Vec<String>),
}

/// What stood in a hole.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// A word: the name of a machine, a publish, a mark.
    Word(String),
    /// Machines.
    Who(Who),
    /// A number.
    Number(u64),
    /// A time.
    Time(Duration),
    /// A setting with a value.
    Pair(String, Value),
}

impl Arg {
    fn word(&self) -> String {
        match self {
            Arg::Word(word) => word.clone(),
            other => panic!("a form asks for a word where its hole gives {other:?}"),
        }
    }

    fn who(&self) -> Who {
        match self {
            Arg::Who(who) => who.clone(),
            other => panic!("a form asks for machines where its hole gives {other:?}"),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Arg::Number(number) => *number,
            other => panic!("a form asks for a number where its hole gives {other:?}"),
        }
    }

    fn time(&self) -> Duration {
        match self {
            Arg::Time(time) => *time,
            other => panic!("a form asks for a time where its hole gives {other:?}"),
        }
    }

    fn pair(&self) -> (String, Value) {
        match self {
            Arg::Pair(key, value) => (key.clone(), value.clone()),
            other => panic!("a form asks for a setting where its hole gives {other:?}"),
        }
    }
}

/// A form of words, and the step that it makes of its holes.
pub type Form = (&'static str, fn(&[Arg]) -> Step);

/// Every form. Holes: `N` a number, `NODE` a machine, `NODES` machines, `NEW` a name that is free, `KIND` bolt or
/// envoy, `LABEL` a publish, `NEWLABEL` one to come, `TIME` like 30s, `KEY=VALUE` a setting, `STATE` of a member,
/// `MARK` and `NEWMARK` a state of a disk, `SPAN` like `1 year`, `WAY` back or ahead.
pub const FORMS: &[Form] = &[
    ("fleet of N bolts and N envoys", |a| Step::Fleet { bolts: a[0].number(), envoys: a[1].number() }),
    ("join NEW as KIND through NODE", |a| join(a, false)),
    ("join NEW as KIND through NODE from behind NAT", |a| join(a, true)),
    ("publish NEWLABEL at NODE", |a| Step::Publish(vec![(a[0].word(), a[1].word())])),
    ("publish NEWLABEL at NODE and NEWLABEL at NODE at once", |a| {
        Step::Publish(vec![(a[0].word(), a[1].word()), (a[2].word(), a[3].word())])
    }),
    ("publish is refused at NODE", |a| Step::PublishIsRefused { at: a[0].word() }),
    ("NODES run LABEL within TIME", |a| Step::Run {
        who: a[0].who(),
        label: a[1].word(),
        within: a[2].time(),
    }),
    ("NODES never ran LABEL", |a| Step::NeverRan { who: a[0].who(), label: a[1].word() }),
    ("head of NODES is LABEL within TIME", |a| Step::Head {
        who: a[0].who(),
        label: a[1].word(),
        within: a[2].time(),
    }),
    ("split NODES | NODES", |a| Step::Split(these(&a[0]), these(&a[1]))),
    ("heal", |_| Step::Heal),
    ("NODE is deaf to NODE", |a| Step::Deaf { to: a[0].word(), from: a[1].word() }),
    ("set KEY=VALUE at NODE", |a| {
        let (key, value) = a[0].pair();
        Step::Set { key, value, at: a[1].word() }
    }),
    ("NODES say KEY=VALUE within TIME", |a| {
        let (key, value) = a[1].pair();
        Step::Say { who: a[0].who(), key, value, within: a[2].time() }
    }),
    ("NODES agree within TIME", |a| Step::Agree { who: a[0].who(), within: a[1].time() }),
    ("kill -9 NODES", |a| Step::Kill(a[0].who())),
    ("stop NODES", |a| Step::Stop(a[0].who())),
    ("start NODES", |a| Step::Start(a[0].who())),
    ("revoke NODE through NODE", |a| Step::Revoke { name: a[0].word(), through: a[1].word() }),
    ("NODE is cut off within TIME", |a| Step::CutOff { name: a[0].word(), within: a[1].time() }),
    ("NODE knows that it is revoked within TIME", |a| Step::Knows { name: a[0].word(), within: a[1].time() }),
    ("bolts list NODE as STATE within TIME", |a| Step::Listed {
        name: a[0].word(),
        state: a[1].word(),
        within: a[2].time(),
    }),
    ("clock of NODE is N SPAN WAY", |a| {
        let seconds = i64::try_from(a[1].number().saturating_mul(a[2].number())).unwrap_or(i64::MAX);
        let seconds = if a[3].word() == "back" { -seconds } else { seconds };
        Step::Clock { name: a[0].word(), seconds }
    }),
    ("mark disk of NODE as NEWMARK", |a| Step::Mark { name: a[0].word(), mark: a[1].word() }),
    ("disk of NODE rolled back to MARK", |a| Step::RollBack { name: a[0].word(), mark: a[1].word() }),
    ("wait TIME", |a| Step::Wait(a[0].time())),
];

fn join(a: &[Arg], nat: bool) -> Step {
    Step::Join { name: a[0].word(), bolt: a[1].word() == "bolt", through: a[2].word(), nat }
}

fn these(arg: &Arg) -> Vec<String> {
    match arg.who() {
        Who::These(names) => names,
        Who::Everyone | Who::AllBut(_) => Vec::new(),
    }
}
