package engine_test

import "testing"

// TestLeavingNoTrace runs what changes neither rows nor metadata on one engine, as starting
// one takes longer.
func TestLeavingNoTrace(t *testing.T) {
	s := newStand(t, options{})
	for name, test := range map[string]func(*testing.T, *stand){
		"A body too large is refused":             testABodyTooLargeIsRefused,
		"Absent claims are not checked":           testAbsentClaimsAreNotChecked,
		"Action arguments arrive as written":      testActionArgumentsArriveAsWritten,
		"Action request is Hasura's":              testActionRequestIsHasuras,
		"Admin sees everything":                   testAdminSeesEverything,
		"Admin sees the exchange without secrets": testAdminSeesTheExchangeWithoutSecrets,
		"Aggregates":                       testAggregates,
		"Aliases fragments and directives": testAliasesFragmentsAndDirectives,
		"Batch":                            testBatch,
		"Columns and fields outside the permission do not exist":    testColumnsAndFieldsOutsideThePermissionDoNotExist,
		"Cookies of handlers reach the client":                      testCookiesOfHandlersReachTheClient,
		"Default names follow schema and table":                     testDefaultNamesFollowSchemaAndTable,
		"Error paths point into the document":                       testErrorPathsPointIntoTheDocument,
		"Exported metadata is the files":                            testExportedMetadataIsTheFiles,
		"Filter with array variable":                                testFilterWithArrayVariable,
		"Health and version":                                        testHealthAndVersion,
		"Hostile names":                                             testHostileNames,
		"Hostile session variables are only values":                 testHostileSessionVariablesAreOnlyValues,
		"Introspection holds together":                              testIntrospectionHoldsTogether,
		"JSON columns take a path":                                  testJSONColumnsTakeAPath,
		"Long aliases and many fields survive":                      testLongAliasesAndManyFieldsSurvive,
		"Malformed requests":                                        testMalformedRequests,
		"Metadata API is for admin alone":                           testMetadataAPIIsForAdminAlone,
		"Missing session variable fails the operation":              testMissingSessionVariableFailsTheOperation,
		"Numbers pass untouched":                                    testNumbersPassUntouched,
		"Other methods and paths do not exist":                      testOtherMethodsAndPathsDoNotExist,
		"Output is shaped by the selection":                         testOutputIsShapedByTheSelection,
		"Permission limit bounds rows and nodes but not aggregates": testPermissionLimitBoundsRowsAndNodesButNotAggregates,
		"Recorded JWT cases":                                        testRecordedJWTCases,
		"Recorded error mapping":                                    testRecordedErrorMapping,
		"Recorded failures of asynchronous actions":                 testRecordedFailuresOfAsynchronousActions,
		"Replacing is for admin alone":                              testReplacingIsForAdminAlone,
		"What is no metadata is not taken":                          testWhatIsNoMetadataIsNotTaken,
		"Responses are judged as Hasura does":                       testResponsesAreJudgedAsHasuraDoes,
		"Row arguments":                                             testRowArguments,
		"Row filter binds every way to read":                        testRowFilterBindsEveryWayToRead,
		"Scalars have Hasura's names":                               testScalarsHaveHasurasNames,
		"Schema holds only what the role may do":                    testSchemaHoldsOnlyWhatTheRoleMayDo,
		"Session headers are never forwarded":                       testSessionHeadersAreNeverForwarded,
		"Symmetric and unsigned tokens are refused":                 testSymmetricAndUnsignedTokensAreRefused,
		"Token bearer chooses only the role":                        testTokenBearerChoosesOnlyTheRole,
		"Tokens are refused in Hasura's words":                      testTokensAreRefusedInHasurasWords,
		"Unserved commands say so":                                  testUnservedCommandsSaySo,
		"Variables":                                                 testVariables,
		"Wrong row arguments are refused":                           testWrongRowArgumentsAreRefused,
	} {
		t.Run(name, func(t *testing.T) {
			s.hook.forget()
			test(t, s)
		})
	}
}
