package main

import "github.com/spf13/cobra"

func (p *program) usageCommands() *cobra.Command {
	return group("usage", "Record usage, ask for limits, and manage meters", `Record what tenants use, ask whether a limit leaves enough, and manage the meters that
usage is counted in and the tables it is counted from. What a tenant uses:
nself tenant usage.`,
		p.recordUsageCommand(), p.checkQuotaCommand(), p.reverseUsageCommand(), p.meterCommands(), p.sourceCommands(), p.reconcileCommand())
}
