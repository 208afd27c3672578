package billing

import "github.com/nself/tenancy/internal/queue"

// State is where an account stands.
type State string

// The states of an account. Suspended is reached only when a grace has run out.
const (
	None      State = "none"      // it never subscribed, or gave up before the first payment
	Pending   State = "pending"   // the first payment is not made
	Trialing  State = "trialing"  //
	Active    State = "active"    //
	PastDue   State = "past_due"  // a payment failed; service goes on for the grace
	Paused    State = "paused"    // a trial ended without a way to pay
	Canceled  State = "canceled"  // the subscription ended; service goes on, on the free plan, for the grace
	Suspended State = "suspended" // the grace ran out
)

// States lists the states in the order of documents.
var States = []State{None, Pending, Trialing, Active, PastDue, Paused, Canceled, Suspended}

// Cause is what the facts say about an account, and all that decides its state.
type Cause string

// The causes.
const (
	NoSubscription  Cause = "no-subscription"
	FirstPayment    Cause = "first-payment"     // the subscription is incomplete
	Abandoned       Cause = "abandoned"         // the first payment was never made
	Trial           Cause = "trial"             //
	Paid            Cause = "paid"              //
	UnpaidInGrace   Cause = "unpaid-in-grace"   //
	UnpaidPastGrace Cause = "unpaid-past-grace" //
	OnPause         Cause = "paused"            //
	EndedInGrace    Cause = "ended-in-grace"    //
	EndedPastGrace  Cause = "ended-past-grace"  //
)

// Causes lists the causes in the order of documents.
var Causes = []Cause{
	NoSubscription, FirstPayment, Abandoned, Trial, Paid, UnpaidInGrace, UnpaidPastGrace, OnPause, EndedInGrace, EndedPastGrace,
}

// Transition is what a cause makes of an account in a state.
type Transition struct {
	To     State
	Audit  string         // the action in the audit log; empty: the state stays
	Letter queue.MailKind // what the owners are told once it is due, once of each fact; empty: nothing
}

// TransitionOf says what a cause makes of an account in a state; false: one of them is
// none of the lists above.
func TransitionOf(from State, cause Cause) (Transition, bool) {
	t, ok := transitions[from][cause]
	return t, ok
}

// transitions has every pair. Where a pair leads depends on the cause alone, so that the
// order in which facts arrive makes no difference; what was before decides only what is
// told.
var transitions = map[State]map[Cause]Transition{
	None: {
		NoSubscription:  {None, "", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "", ""},
		Trial:           {Trialing, "billing_trialing", queue.TrialEnding},
		Paid:            {Active, "billing_active", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Pending: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.TrialEnding},
		Paid:            {Active, "billing_active", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Trialing: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "", queue.TrialEnding},
		Paid:            {Active, "billing_active", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Active: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.TrialEnding},
		Paid:            {Active, "", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	PastDue: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.BillingRecovered},
		Paid:            {Active, "billing_active", queue.BillingRecovered},
		UnpaidInGrace:   {PastDue, "", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Paused: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.TrialEnding},
		Paid:            {Active, "billing_active", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Canceled: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.TrialEnding},
		Paid:            {Active, "billing_active", ""},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "billing_suspended", queue.BillingSuspended},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "billing_suspended", queue.BillingSuspended},
	},
	Suspended: {
		NoSubscription:  {None, "billing_none", ""},
		FirstPayment:    {Pending, "billing_pending", ""},
		Abandoned:       {None, "billing_none", ""},
		Trial:           {Trialing, "billing_trialing", queue.BillingRecovered},
		Paid:            {Active, "billing_active", queue.BillingRecovered},
		UnpaidInGrace:   {PastDue, "billing_past_due", queue.PaymentFailed},
		UnpaidPastGrace: {Suspended, "", ""},
		OnPause:         {Paused, "billing_paused", queue.TrialEnded},
		EndedInGrace:    {Canceled, "billing_canceled", queue.SubscriptionEnded},
		EndedPastGrace:  {Suspended, "", ""},
	},
}
