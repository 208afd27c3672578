package requestlog

import "regexp"

// secretForms are what a credential or somebody's address looks like, in the order they
// are looked for: a JWT, a refresh token or API key of ours, 32 random bytes in base64url
// or hexadecimal, an e-mail address.
var secretForms = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){1,4}` +
	`|ns[rk]_[A-Za-z0-9_-]+` +
	`|[A-Za-z0-9_-]{43,}` +
	`|[^\s"<>(),:;=@/]+@[^\s"<>(),:;=@/]+`)

// scrubbed is the text of an error as the log may keep it. Errors carry what somebody
// sent further than whoever wrote them thought of.
func scrubbed(text string) string { return secretForms.ReplaceAllString(text, "[withheld]") }
