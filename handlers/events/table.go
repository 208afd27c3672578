package events

// Table lists every event handler by the last word of its path. Contract tests hold it
// equal to the event triggers of hasura/metadata.
func Table() map[string]Effect {
	return map[string]Effect{
		"tenant": tenantChanged,
		"usage":  tableChanged,
		"quota":  quotaReached,
	}
}
