package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// step is one step of a run: its kind, and two numbers that select its objects. The numbers are taken modulo the number
// of objects, so that every step is valid in every run.
type step struct {
	kind kind
	a, b int
}

// kind is an index into actions.
type kind int

// action is one row of the table of actions.
type action struct {
	name   string
	weight int
	class  class
	run    func(*cluster, step)
}

// class groups actions, so that a property can leave some out.
type class int

const (
	joins   class = 1 << iota // machines that join
	fleet                     // machines that leave, flap or change, with agents that work correctly
	work                      // agents that claim and end parts
	trouble                   // agents that are cut off, crash, hang or report late
	people                    // commands of people
	ticking                   // ticks and passing time
	crashes                   // servers that crash, freeze or pause within a tick
	faults                    // faults of the log and the clocks
	disks                     // disks that are copied and restored
	all     = joins | fleet | work | trouble | people | ticking | crashes | faults | disks
)

// actions is the table of actions. Simple actions come first, because shrinking moves towards them.
var actions = []action{
	{"tick", 14, ticking, (*cluster).tick},
	{"pass", 10, ticking, (*cluster).pass},
	{"claim", 8, work, (*cluster).claimOne},
	{"end", 8, work, (*cluster).endOne},
	{"work", 24, work, (*cluster).workAll},
	{"join", 14, joins, (*cluster).join},
	{"leave", 3, fleet, (*cluster).leave},
	{"flap", 3, fleet, (*cluster).flap},
	{"move", 3, fleet, (*cluster).reconnect},
	{"silent", 2, trouble, (*cluster).silence},
	{"reimage", 2, fleet, (*cluster).reimage},
	{"permit", 2, people, (*cluster).permitOne},
	{"depart", 3, fleet, (*cluster).deleteItself},
	{"save-disk", 2, disks, (*cluster).saveDisk},
	{"old-disk", 2, disks, (*cluster).restoreDisk},
	{"switch", 3, fleet, (*cluster).switchMachine},
	{"change", 2, fleet, (*cluster).changeMachine},
	{"remove", 2, fleet, (*cluster).removeMachine},
	{"health", 4, fleet, (*cluster).health},
	{"problem", 2, fleet, (*cluster).reportCondition},
	{"die", 2, trouble, (*cluster).die},
	{"hang", 1, trouble, (*cluster).hang},
	{"mute", 2, trouble, (*cluster).endUnreported},
	{"late", 2, trouble, (*cluster).reportLate},
	{"offer", 5, trouble, (*cluster).takeOffer},
	{"stale", 6, trouble, (*cluster).claimOffer},
	{"deploy", 6, people, (*cluster).deployWide},
	{"narrow", 3, people, (*cluster).deployNarrowed},
	{"exclude", 2, people, (*cluster).deployExcluding},
	{"rollback", 2, people, (*cluster).rollback},
	{"retry", 2, people, (*cluster).retry},
	{"repair", 4, people, (*cluster).repair},
	{"accept", 4, people, (*cluster).accept},
	{"role", 2, people, (*cluster).deployRole},
	{"cancel", 4, people, (*cluster).cancel},
	{"stop-parts", 3, people, (*cluster).stopParts},
	{"pin", 3, people, (*cluster).pin},
	{"unpin", 2, people, (*cluster).unpin},
	{"retire", 3, people, (*cluster).retire},
	{"hold", 2, people, (*cluster).hold},
	{"unhold", 2, people, (*cluster).unhold},
	{"project", 2, people, (*cluster).switchProject},
	{"trigger", 2, people, (*cluster).switchTrigger},
	{"settings", 1, people, (*cluster).changeProject},
	{"rule", 1, people, (*cluster).changeTrigger},
	{"policy", 2, people, (*cluster).changePolicy},
	{"drop", 1, people, (*cluster).dropProject},
	{"environment", 2, people, (*cluster).switchEnvironment},
	{"clear", 6, people, (*cluster).clear},
	{"stop", 2, crashes, (*cluster).stop},
	{"pause", 3, crashes, (*cluster).pause},
	{"resume", 4, crashes, (*cluster).resume},
	{"crash", 2, crashes, (*cluster).crash},
	{"kill", 1, crashes, (*cluster).kill},
	{"start", 8, crashes, (*cluster).start},
	{"upgrade", 2, crashes, (*cluster).upgrade},
	{"lag", 3, faults, (*cluster).lag},
	{"whole", 0, faults, (*cluster).unlag},
	{"twice", 2, faults, (*cluster).deliverTwice},
	{"deaf", 2, faults, (*cluster).deafen},
	{"outage", 2, faults, (*cluster).cutOff},
	{"blind", 2, faults, (*cluster).blind},
	{"doomed", 1, faults, (*cluster).doom},
	{"skew", 2, faults, (*cluster).skew},
	{"damage", 1, faults, (*cluster).damage},
}

// dice is the source of the numbers of a run.
type dice interface {
	// roll returns a number from 0 to n-1. Shrinking moves towards low numbers.
	roll(n int) int
}

// stepSpan bounds the numbers in a step.
const stepSpan = 1 << 12

// draw draws one step of the wanted classes.
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

// String returns the form of a step in a listing.
func (s step) String() string { return fmt.Sprintf("%s(%d,%d)", actions[s.kind].name, s.a, s.b) }

// listing returns the steps of a run as text, for debugging the simulation.
func listing(steps []step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, s.String())
	}
	return strings.Join(lines, " ")
}

// seeded is a dice with a seed.
type seeded struct{ *rand.Rand }

func (s seeded) roll(n int) int { return s.IntN(n) }

func newDice(seed uint64) dice { return seeded{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))} }
