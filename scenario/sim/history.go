package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// step is one step of a day: what happens, and to whom. The numbers are taken modulo what there is, so
// every step fits every day.
type step struct {
	kind kind
	a, b int
}

// kind names what happens in a step.
type kind int

// action is one row of the table of kinds.
type action struct {
	name   string
	weight int
	class  class
	run    func(*plant, step)
}

// class groups actions, so that a property can do without some.
type class int

const (
	joins   class = 1 << iota // machines that come
	fleet                     // machines that go, flap, change, and whose agents behave
	work                      // agents that claim and end parts
	trouble                   // agents that are cut off, die, hang, report late
	people                    // what owners command
	ticking                   // servers that tick, and time that passes
	crashes                   // servers that die, sleep, tick side by side
	faults                    // the log's readers and writers
	all     = joins | fleet | work | trouble | people | ticking | crashes | faults
)

// actions is the table. The simple ones come first: what shrinks, shrinks towards them.
var actions = []action{
	{"tick", 14, ticking, (*plant).tick},
	{"pass", 10, ticking, (*plant).pass},
	{"claim", 8, work, (*plant).claimOne},
	{"end", 8, work, (*plant).endOne},
	{"work", 24, work, (*plant).workAll},
	{"join", 14, joins, (*plant).join},
	{"leave", 3, fleet, (*plant).leave},
	{"flap", 3, fleet, (*plant).flap},
	{"move", 3, fleet, (*plant).reconnect},
	{"silent", 2, trouble, (*plant).silence},
	{"reimage", 2, fleet, (*plant).reimage},
	{"switch", 3, fleet, (*plant).switchMachine},
	{"change", 2, fleet, (*plant).changeMachine},
	{"remove", 2, fleet, (*plant).removeMachine},
	{"health", 4, fleet, (*plant).health},
	{"die", 2, trouble, (*plant).die},
	{"hang", 1, trouble, (*plant).hang},
	{"mute", 2, trouble, (*plant).endUnheard},
	{"late", 2, trouble, (*plant).reportLate},
	{"offer", 5, trouble, (*plant).takeOffer},
	{"stale", 6, trouble, (*plant).claimOffer},
	{"deploy", 6, people, (*plant).deployWide},
	{"narrow", 3, people, (*plant).deployNarrowed},
	{"exclude", 2, people, (*plant).deployExcluding},
	{"rollback", 2, people, (*plant).rollback},
	{"retry", 2, people, (*plant).retry},
	{"cancel", 4, people, (*plant).cancel},
	{"pin", 3, people, (*plant).pin},
	{"unpin", 2, people, (*plant).unpin},
	{"hold", 2, people, (*plant).hold},
	{"unhold", 2, people, (*plant).unhold},
	{"project", 2, people, (*plant).switchProject},
	{"trigger", 2, people, (*plant).switchTrigger},
	{"settings", 1, people, (*plant).changeProject},
	{"rule", 1, people, (*plant).changeTrigger},
	{"policy", 2, people, (*plant).changePolicy},
	{"drop", 1, people, (*plant).dropProject},
	{"environment", 2, people, (*plant).switchEnvironment},
	{"clear", 6, people, (*plant).clear},
	{"stop", 2, crashes, (*plant).stop},
	{"pause", 3, crashes, (*plant).pause},
	{"resume", 4, crashes, (*plant).resume},
	{"crash", 2, crashes, (*plant).crash},
	{"kill", 1, crashes, (*plant).kill},
	{"start", 8, crashes, (*plant).start},
	{"upgrade", 2, crashes, (*plant).upgrade},
	{"lag", 3, faults, (*plant).lag},
	{"whole", 0, faults, (*plant).unlag},
	{"twice", 2, faults, (*plant).deliverTwice},
	{"deaf", 2, faults, (*plant).deafen},
	{"outage", 2, faults, (*plant).cutOff},
	{"blind", 2, faults, (*plant).blind},
	{"doomed", 1, faults, (*plant).doom},
	{"skew", 2, faults, (*plant).skew},
	{"damage", 1, faults, (*plant).damage},
}

// dice is where the numbers of a day come from.
type dice interface {
	// roll returns a number from 0 to n-1. Of a source that shrinks, low is simple.
	roll(n int) int
}

// span of the numbers in a step.
const stepSpan = 1 << 12

// draw takes one step of the classes that are wanted.
func draw(d dice, wanted class) step {
	total := 0
	for _, a := range actions {
		if a.class&wanted != 0 {
			total += a.weight
		}
	}
	n := d.roll(total)
	for k, a := range actions {
		if a.class&wanted == 0 {
			continue
		}
		if n -= a.weight; n < 0 {
			return step{kind(k), d.roll(stepSpan), d.roll(stepSpan)}
		}
	}
	panic("the weights changed while a step was drawn")
}

// String names a step as in a day's listing.
func (s step) String() string { return fmt.Sprintf("%s(%d,%d)", actions[s.kind].name, s.a, s.b) }

// listing is a day in one line a step, for those who look at the simulation itself.
func listing(steps []step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, s.String())
	}
	return strings.Join(lines, " ")
}

// seeded is a dice that a seed decides.
type seeded struct{ *rand.Rand }

func (s seeded) roll(n int) int { return s.IntN(n) }

func newDice(seed uint64) dice { return seeded{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))} }
