package tokens

import "github.com/nself/tenancy/internal/signin"

// Links makes the addresses of pages that mails lead to. It is PUBLIC_URL: no part of
// such an address is ever taken from a request.
type Links string

const invitationPath = "/auth/invitation"

// Invitation is the page that accepts an invitation.
func (l Links) Invitation(token string) string {
	return signin.NewSite(string(l), "").Page("", invitationPath, token)
}
