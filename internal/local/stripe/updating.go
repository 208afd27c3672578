package stripe

// updating is what an update of a subscription asks for.
type updating struct {
	items                       []itemInput
	proration, behavior, anchor string
	at                          *int64 // proration_date
	trialEnd, cancelAt          *int64
	cancelAtEnd                 *bool
	method, description         *string
	pause                       *pauseCollection
	unpause                     bool
	missing, save               string
	comment, feedback           *string
	metadata                    map[string]string
	narrow                      bool // nothing beside metadata and the card is asked for
}

func readUpdating(in *form) updating {
	n := updating{items: readItems(in, true), proration: in.choice("proration_behavior", prorate, prorateNow, prorateNever), behavior: readPaymentBehavior(in),
		anchor: in.choice("billing_cycle_anchor", "now", "unchanged"), at: in.whole("proration_date"), trialEnd: in.moment("trial_end"), cancelAt: in.moment("cancel_at"),
		cancelAtEnd: in.yes("cancel_at_period_end"), method: in.text("default_payment_method"), description: in.text("description"), metadata: in.metadata(),
		missing: in.sub("trial_settings").sub("end_behavior").choice("missing_payment_method", "cancel", "pause", "create_invoice")}
	details := in.sub("cancellation_details")
	n.comment, n.feedback = details.text("comment"), details.text("feedback")
	settings := in.sub("payment_settings")
	n.save = settings.choice("save_default_payment_method", "off", "on_subscription")
	settings.texts("payment_method_types")
	in.yes("off_session")
	if n.proration == "" {
		n.proration = prorate
	}
	readPause(in, &n)
	n.narrow = true
	for _, name := range in.order {
		switch name {
		case "metadata", "default_payment_method", "cancellation_details", "expand", "off_session", "payment_behavior":
		default:
			n.narrow = false
		}
	}
	return n
}

func readPause(in *form, n *updating) {
	if !in.given("pause_collection") {
		return
	}
	if p := in.parts["pause_collection"]; p.value != nil {
		p.asked = true
		n.unpause = true
		return
	}
	pause := in.sub("pause_collection")
	n.pause = &pauseCollection{Behavior: pause.choice("behavior", "keep_as_draft", "mark_uncollectible", "void")}
	pause.need("behavior")
	if at := pause.whole("resumes_at"); at != nil {
		n.pause.ResumesAt = stamp(*at)
	}
}
