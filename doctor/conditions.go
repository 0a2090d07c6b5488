package doctor

import (
	"fmt"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// conditionFixes has the advice for each condition. It is for the machine.
var conditionFixes = map[domain.ConditionKind]string{
	domain.DataFolderMissing: "systemctl restart drover-agent (on the machine, after its data folder is mounted or restored)",
	domain.DiskFull:          "df -h (on the machine; the agent continues by itself once there is space)",
	domain.JournalNotWritable: "journalctl -u drover-agent (on the machine; the agent continues by itself once it can write to " +
		"its data folder)",
	domain.Leftovers: "drover doctor (on the machine; it names the folders and what is mounted there)",
}

// conditions reports what agents say about their machines, one finding for each condition.
func conditions(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, kind := range domain.ConditionKinds() {
		of := func(c domain.Condition) bool { return c.Kind == kind }
		var names []string
		for _, name := range sorted(v.Machines) {
			if slices.ContainsFunc(v.Machines[name].Conditions, of) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			continue
		}
		f := Finding{Severity: Warn, Fix: conditionFixes[kind]}
		subject := "machine " + names[0] + ": "
		if kind.Blocks() {
			f.Severity, subject = Bad, "machine "+names[0]+" starts no parts: "
		}
		f.Text = subject + explain.Reported(v.Machines[names[0]], of)
		if others := names[1:]; len(others) > 0 {
			f.Text += fmt.Sprintf("; the same on %s: %s", counted(len(others), "other machine"), firstNames(others))
		}
		found = append(found, f)
	}
	return found
}
