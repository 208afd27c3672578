package stripe

import "net/http"

// routes is the whole HTTP surface.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, operations := range []map[string]operation{s.catalogue(), s.billing(), s.rest()} {
		for pattern, do := range operations {
			mux.HandleFunc(pattern, s.serve(do))
		}
	}
	mux.HandleFunc("/v1/", s.serve(unknownURL))
	s.pages(mux)
	return mux
}

func unknownURL(c *call) (any, error) {
	e := invalid("", "", "Unrecognized request URL. Please see https://stripe.com/docs or we can help at https://support.stripe.com/.")
	e.status, e.early = http.StatusNotFound, true
	return nil, e
}

func (s *Server) catalogue() map[string]operation {
	return map[string]operation{
		"GET /v1/account":       s.retrieveAccount,
		"GET /v1/accounts/{id}": s.retrieveAccount,

		"POST /v1/customers":                     s.createCustomer,
		"GET /v1/customers":                      s.listCustomers,
		"GET /v1/customers/search":               s.searchCustomers,
		"GET /v1/customers/{id}":                 s.retrieveCustomer,
		"POST /v1/customers/{id}":                s.updateCustomer,
		"DELETE /v1/customers/{id}":              s.deleteCustomer,
		"GET /v1/customers/{id}/payment_methods": s.listMethods,

		"POST /v1/payment_methods":             s.createMethod,
		"GET /v1/payment_methods":              s.listMethods,
		"GET /v1/payment_methods/{id}":         s.retrieveMethod,
		"POST /v1/payment_methods/{id}":        s.updateMethod,
		"POST /v1/payment_methods/{id}/attach": s.attach,
		"POST /v1/payment_methods/{id}/detach": s.detach,

		"POST /v1/products":        s.createProduct,
		"GET /v1/products":         s.listProducts,
		"GET /v1/products/{id}":    s.retrieveProduct,
		"POST /v1/products/{id}":   s.updateProduct,
		"DELETE /v1/products/{id}": s.deleteProduct,
		"POST /v1/prices":          s.createPrice,
		"GET /v1/prices":           s.listPrices,
		"GET /v1/prices/{id}":      s.retrievePrice,
		"POST /v1/prices/{id}":     s.updatePrice,
	}
}

func (s *Server) billing() map[string]operation {
	return map[string]operation{
		"POST /v1/subscriptions":             s.createSubscription,
		"GET /v1/subscriptions":              s.listSubscriptions,
		"GET /v1/subscriptions/{id}":         s.retrieveSubscription,
		"POST /v1/subscriptions/{id}":        s.updateSubscription,
		"DELETE /v1/subscriptions/{id}":      s.cancelSubscription,
		"POST /v1/subscriptions/{id}/resume": s.resumeSubscription,

		"GET /v1/subscription_items":      s.listSubscriptionItems,
		"GET /v1/subscription_items/{id}": s.retrieveSubscriptionItem,

		"POST /v1/invoices":                         s.createInvoice,
		"GET /v1/invoices":                          s.listInvoices,
		"GET /v1/invoices/upcoming":                 s.upcomingInvoice,
		"GET /v1/invoices/{id}":                     s.retrieveInvoice,
		"POST /v1/invoices/{id}":                    s.updateInvoice,
		"DELETE /v1/invoices/{id}":                  s.deleteInvoice,
		"GET /v1/invoices/{id}/lines":               s.listLines,
		"POST /v1/invoices/{id}/finalize":           s.finalizeInvoice,
		"POST /v1/invoices/{id}/pay":                s.payInvoice,
		"POST /v1/invoices/{id}/void":               s.voidByHand,
		"POST /v1/invoices/{id}/mark_uncollectible": s.writeOffByHand,
		"POST /v1/invoiceitems":                     s.createItem,
		"GET /v1/invoiceitems":                      s.listItems,
		"GET /v1/invoiceitems/{id}":                 s.retrieveItem,
		"DELETE /v1/invoiceitems/{id}":              s.deleteItem,
	}
}

func (s *Server) rest() map[string]operation {
	return map[string]operation{
		"GET /v1/charges":                       s.listCharges,
		"GET /v1/charges/{id}":                  s.retrieveCharge,
		"GET /v1/payment_intents":               s.listIntents,
		"GET /v1/payment_intents/{id}":          s.retrieveIntent,
		"POST /v1/payment_intents/{id}/confirm": s.confirmIntent,
		"GET /v1/setup_intents/{id}":            s.retrieveSetupIntent,
		"POST /v1/refunds":                      s.createRefund,
		"GET /v1/refunds":                       s.listRefunds,
		"GET /v1/refunds/{id}":                  s.retrieveRefund,

		"POST /v1/checkout/sessions":             s.createSession,
		"GET /v1/checkout/sessions":              s.listSessions,
		"GET /v1/checkout/sessions/{id}":         s.retrieveSession,
		"POST /v1/checkout/sessions/{id}/expire": s.expireByHand,
		"POST /v1/billing_portal/sessions":       s.createPortal,

		"POST /v1/webhook_endpoints":        s.createEndpoint,
		"GET /v1/webhook_endpoints":         s.listEndpoints,
		"GET /v1/webhook_endpoints/{id}":    s.retrieveEndpoint,
		"POST /v1/webhook_endpoints/{id}":   s.updateEndpoint,
		"DELETE /v1/webhook_endpoints/{id}": s.deleteEndpoint,
		"GET /v1/events":                    s.listEvents,
		"GET /v1/events/{id}":               s.retrieveEvent,

		"POST /v1/test_helpers/test_clocks":              s.createClock,
		"GET /v1/test_helpers/test_clocks":               s.listClocks,
		"GET /v1/test_helpers/test_clocks/{id}":          s.retrieveClock,
		"POST /v1/test_helpers/test_clocks/{id}/advance": s.advanceClock,
		"DELETE /v1/test_helpers/test_clocks/{id}":       s.deleteClock,
	}
}
