package tokens

import (
	"net/url"
	"strings"
)

// Links makes the addresses of pages that mails lead to. It is PUBLIC_URL: no part of
// such an address is ever taken from a request.
type Links string

const invitationPath = "/auth/invitation"

// Invitation is the page that accepts an invitation.
func (l Links) Invitation(token string) string {
	return strings.TrimRight(string(l), "/") + invitationAt(token)
}

func invitationAt(token string) string { return invitationPath + "?token=" + url.QueryEscape(token) }
