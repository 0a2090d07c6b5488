package doctor

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

func tokens(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	for _, id := range sorted(v.Tokens) {
		if t := v.Tokens[id]; t.Valid(s.Now) {
			found = append(found, tokenFindings(t, s.Now)...)
			found = append(found, fullToken(t, v.World().Places(id).Count(s.Now))...)
			found = append(found, missingPolicy(v, t)...)
		}
	}
	last, known := lastAdminToken(v, s.Now)
	if known && (last == nil || last.Until != nil && last.Until.Sub(s.Now) < lastAdmin) {
		found = append(found, Finding{Severity: Warn, Text: adminSentence(last, s.Now), Fix: createAdmin})
	}
	return bounded(found)
}

// tokenFindings examines a valid token.
func tokenFindings(t *domain.Token, now time.Time) []Finding {
	until := t.Settings.Until
	switch {
	case t.Settings.Join && t.Settings.Uses == 0 && (until == nil || until.Sub(now) > joinLong):
		expiry := "and never expires"
		if until != nil {
			expiry = "and does not expire for " + span(until.Sub(now))
		}
		return []Finding{{Severity: Warn, Text: "join token " + t.Label() + " lets any number of agents join " + expiry,
			Fix: "drover token revoke " + t.Label() +
				" (this also disconnects the agents that joined with it; " +
				"create a limited token with `drover token create --join --uses N --for D`)"}}
	case !t.Settings.Join && until != nil && until.Sub(now) < tokenSoon:
		kind, value := "scope", string(t.Settings.Scope)
		if t.Settings.Permission != "" {
			kind, value = "permission", string(t.Settings.Permission)
		}
		return []Finding{{Severity: Warn, Text: fmt.Sprintf("token %s with %s %s expires in %s", t.Label(), kind, value,
			span(until.Sub(now))), Fix: "drover token create --" + kind + " " + value}}
	}
	return nil
}

// fullToken reports a join token whose next machine will be refused.
func fullToken(t *domain.Token, machines int) []Finding {
	allowed := t.Settings.MaxMachines
	if allowed == 0 || machines < allowed {
		return nil
	}
	return []Finding{{Severity: Warn, Text: fmt.Sprintf("join token %s has reached its machine limit (%d of %d): other "+
		"machines are refused", t.Label(), machines, allowed), Fix: "delete machines that are gone, or use another token: " +
		"drover token create --join --max-machines N"}}
}

// missingPolicy reports a join token that gives a policy that does not exist. Two servers can delete a policy and create
// such a token at the same time.
func missingPolicy(v *projections.View, t *domain.Token) []Finding {
	policy := t.Settings.Policy
	if policy == "" || v.World().Policy(policy) != nil {
		return nil
	}
	return []Finding{{Severity: Warn, Text: fmt.Sprintf("join token %s gives policy %s, which does not exist: its machines get "+
		"the default policy", t.Label(), policy), Fix: "apply a MachinePolicy " + policy + ", or use another token"}}
}

// createAdmin is the command after which the last admin token may expire.
const createAdmin = "drover token create --scope admin (without --for; if no admin token is valid any more, add " +
	"--log URL on the server's machine while the server is stopped)"

// lastAdminToken returns the settings of the token that may create tokens and is valid for the longest time, nil if
// no such token exists. known is false if there never was one.
func lastAdminToken(v *projections.View, now time.Time) (last *domain.TokenSettings, known bool) {
	need, w := domain.Need{Verb: domain.TokensVerb, Project: domain.All, Environment: domain.All}, v.World()
	for id, t := range v.Tokens {
		granted := domain.TokenPrincipal(w, id, now)
		known = known || t.Settings.Scope == domain.AdminScope || granted.Allows(need)
		if granted.Allows(need) && outlives(&t.Settings, last) {
			last = &t.Settings
		}
	}
	return last, known
}

// outlives reports whether a token is valid for longer than another one, which may be nil.
func outlives(s, other *domain.TokenSettings) bool {
	return other == nil || other.Until != nil && (s.Until == nil || s.Until.After(*other.Until))
}

func adminSentence(last *domain.TokenSettings, now time.Time) string {
	if last == nil {
		return "no admin token is valid any more"
	}
	return fmt.Sprintf("every admin token expires, the last one in %s, at %s", span(last.Until.Sub(now)),
		last.Until.UTC().Format(time.RFC3339))
}

// AdminWarning returns a sentence if every admin token expires, so that nobody could create another one. It is empty
// otherwise.
func AdminWarning(v *projections.View, now time.Time) string {
	last, known := lastAdminToken(v, now)
	if !known || last != nil && last.Until == nil {
		return ""
	}
	return adminSentence(last, now) + "; create one that does not expire, or keep access to the server's machine for " +
		"`drover token create --log URL`"
}
