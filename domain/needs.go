package domain

// This file states what each command needs. Commands about a machine or a trigger that does not exist need the verb in
// every environment, so that the refusal does not reveal which ones exist.

func everything(verb Verb) []Need { return []Need{verb.Everywhere()} }

// in returns the need of a verb for a project in an environment.
func in(verb Verb, project, environment string) []Need {
	return []Need{{Verb: verb, Project: project, Environment: environment}}
}

// onMachine returns the need of a verb for a project on a machine.
func onMachine(w World, verb Verb, project, machine string) []Need {
	environment := All
	if m := w.Machine(machine); m != nil {
		environment = m.Environment
	}
	return []Need{{Verb: verb, Project: project, Environment: environment, Machine: bounded(machine)}}
}

// AgentNeed returns the need of whatever the agent of a machine sends.
func AgentNeed(machine string) Need {
	return Need{Verb: AgentVerb, Project: All, Environment: All, Machine: bounded(machine)}
}

func asAgent(machine string) []Need { return []Need{AgentNeed(machine)} }

// Anywhere returns the least that a caller needs for a verb: the verb in any project and environment. A verb that
// concerns the whole installation is needed everywhere.
func (v Verb) Anywhere() Need {
	for _, row := range verbs {
		if row.verb == v && row.of == "" {
			return v.Everywhere()
		}
	}
	return Need{Verb: v}
}

// Everywhere returns the need of a verb in all projects and environments.
func (v Verb) Everywhere() Need { return Need{Verb: v, Project: All, Environment: All} }

// onTrigger returns the needs of a change to a trigger: the verb in each environment that the trigger names.
func onTrigger(w World, verb Verb, project, name string) []Need {
	environments := []string{All} // of a trigger that does not exist
	if p := w.Project(project); p != nil && p.Triggers[name] != nil {
		environments = p.Triggers[name].Settings.Environments
	}
	var needs []Need
	for _, environment := range environments {
		needs = append(needs, Need{Verb: verb, Project: project, Environment: environment, Trigger: bounded(name)})
	}
	return needs
}

// Needs returns what the command needs: for a move, also in the environment that the machine leaves.
func (c ApplyMachine) Needs(w World) []Need {
	needs := []Need{{Verb: MachinesVerb, Project: All, Environment: c.Environment, Machine: bounded(c.Name)}}
	if m := w.Machine(c.Name); m != nil && m.Environment != c.Environment {
		needs = append(needs, onMachine(w, MachinesVerb, All, c.Name)...)
	}
	if kept := w.CleanedUp(c.Name); kept != nil && kept.Environment != c.Environment { // its agent may return
		needs = append(needs, Need{Verb: MachinesVerb, Project: All, Environment: kept.Environment, Machine: bounded(c.Name)})
	}
	return needs
}

// Needs returns what the command needs.
func (c SetMachineEnabled) Needs(w World) []Need { return onMachine(w, EnableVerb, All, c.Name) }

// Needs returns what the command needs.
func (c DeleteMachine) Needs(w World) []Need { return onMachine(w, MachinesVerb, All, c.Name) }

// Needs returns what the command needs.
func (c ReimageMachine) Needs(w World) []Need { return onMachine(w, MachinesVerb, All, c.Name) }

// Needs returns what the command needs.
func (c ReturnMachine) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c ConnectMachine) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c DisconnectMachine) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c ReportHealth) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c ReportConditions) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c ReportLostState) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c ClearMemory) Needs(World) []Need { return asAgent(c.Name) }

// Needs returns what the command needs.
func (c AcceptMemory) Needs(World) []Need { return everything(LogVerb) }

// Needs returns what the command needs.
func (c ClaimPart) Needs(World) []Need { return asAgent(c.Machine) }

// Needs returns what the command needs.
func (c EndPart) Needs(World) []Need { return asAgent(c.Machine) }

// Needs returns what the command needs.
func (c UseToken) Needs(World) []Need { return []Need{{Verb: JoinVerb}} }

// Needs returns what the command needs.
func (c ApplyProject) Needs(World) []Need { return in(SettingsVerb, c.Name, All) }

// Needs returns what the command needs.
func (c SetProjectEnabled) Needs(World) []Need { return in(EnableVerb, c.Name, All) }

// Needs returns what the command needs.
func (c DeleteProject) Needs(World) []Need { return in(SettingsVerb, c.Name, All) }

// Needs returns what the command needs, also in the environments that the trigger no longer names.
func (c ApplyTrigger) Needs(w World) []Need {
	var needs []Need
	for _, environment := range SortedUnique(c.Settings.Environments) {
		needs = append(needs, Need{Verb: SettingsVerb, Project: c.Project, Environment: environment})
	}
	if p := w.Project(c.Project); p != nil && p.Triggers[c.Name] != nil {
		needs = append(needs, onTrigger(w, SettingsVerb, c.Project, c.Name)...)
	}
	if needs == nil {
		return in(SettingsVerb, c.Project, "")
	}
	return needs
}

// Needs returns what the command needs.
func (c SetTriggerEnabled) Needs(w World) []Need {
	return onTrigger(w, EnableVerb, c.Project, c.Name)
}

// Needs returns what the command needs.
func (c DeleteTrigger) Needs(w World) []Need {
	return onTrigger(w, SettingsVerb, c.Project, c.Name)
}

// Needs returns what the command needs. A release has no effect before it is deployed, so it concerns no environment.
func (c CreateRelease) Needs(World) []Need { return in(ReleaseVerb, c.Project, "") }

// Needs returns what the command needs: nobody can deploy the release afterwards, in no environment.
func (c RetireRelease) Needs(World) []Need { return in(DeployVerb, c.Project, All) }

// Needs returns what the command needs.
func (c RestoreRelease) Needs(World) []Need { return in(DeployVerb, c.Project, All) }

// Needs returns what the command needs.
func (c Deploy) Needs(World) []Need { return in(DeployVerb, c.Project, c.Environment) }

// Needs returns what the command needs.
func (c Rollback) Needs(World) []Need { return in(RollBackVerb, c.Project, c.Environment) }

// Needs returns what the command needs.
func (c Retry) Needs(w World) []Need { return onMachine(w, RetryVerb, c.Project, c.Machine) }

// Needs returns what the command needs: the same as the deployment that it repairs.
func (c RetryDeployment) Needs(w World) []Need { return onDeployment(w, DeployVerb, c.Deployment) }

// Needs returns what the command needs: the same as a deployment that changes what is wanted.
func (c AcceptDeployment) Needs(w World) []Need { return onDeployment(w, DeployVerb, c.Deployment) }

// Needs returns what the command needs.
func (c CancelDeployment) Needs(w World) []Need { return onDeployment(w, CancelVerb, c.Deployment) }

// onDeployment returns the need of a verb for a deployment.
func onDeployment(w World, verb Verb, deployment ID) []Need {
	if d := w.Deployment(deployment); d != nil {
		return []Need{{Verb: verb, Project: d.Project, Environment: d.Environment, Deployment: deployment}}
	}
	return in(verb, "", "")
}

// Needs returns what the command needs.
func (c SetPin) Needs(World) []Need { return in(PinVerb, c.Project, c.Environment) }

// Needs returns what the command needs.
func (c LiftPin) Needs(World) []Need { return in(PinVerb, c.Project, c.Environment) }

// Needs returns what the command needs.
func (c SetHold) Needs(w World) []Need { return onMachine(w, HoldVerb, c.Project, c.Machine) }

// Needs returns what the command needs.
func (c LiftHold) Needs(w World) []Need { return onMachine(w, HoldVerb, c.Project, c.Machine) }

// Needs returns what the command needs.
func (c ApplyEnvironment) Needs(World) []Need { return in(EnvironmentsVerb, All, c.Name) }

// Needs returns what the command needs.
func (c DeleteEnvironment) Needs(World) []Need { return in(EnvironmentsVerb, All, c.Name) }

// Needs returns what the command needs.
func (c ApplyPolicy) Needs(World) []Need { return everything(PoliciesVerb) }

// Needs returns what the command needs.
func (c DeletePolicy) Needs(World) []Need { return everything(PoliciesVerb) }

// Needs returns what the command needs.
func (c CreateToken) Needs(World) []Need { return everything(TokensVerb) }

// Needs returns what the command needs.
func (c RevokeToken) Needs(World) []Need { return everything(TokensVerb) }

// Needs returns what the command needs.
func (c ApplyAccess) Needs(World) []Need { return everything(AccessVerb) }

// Needs returns what the command needs.
func (c DeleteAccess) Needs(World) []Need { return everything(AccessVerb) }

// Needs returns what the command needs.
func (c ClearStream) Needs(World) []Need { return everything(LogVerb) }

// Needs returns what the command needs.
func (c AcceptRestore) Needs(World) []Need { return everything(LogVerb) }

// Needs returns what the command needs.
func (c RotateServerKey) Needs(World) []Need { return everything(LogVerb) }

// Needs returns what the command needs. Like UseToken, it checks the credential itself.
func (c RegisterVerifier) Needs(World) []Need { return []Need{{Verb: JoinVerb}} }
