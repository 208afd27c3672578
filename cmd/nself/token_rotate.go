package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/token"
)

const rotateSigningKeyMutation = `mutation ($revoke_old: Boolean) {
	reply: rotateSigningKey(revokeOld: $revoke_old) { kid algorithm created_at: createdAt signs_from: signsFrom retiring }
}`

// signingKey is the new key; Retiring are the ids of those it takes the place of.
type signingKey struct {
	KID       string    `json:"kid"`
	Algorithm string    `json:"algorithm"`
	CreatedAt time.Time `json:"created_at"`
	SignsFrom time.Time `json:"signs_from"`
	Retiring  []string  `json:"retiring"`
	// OldVerifyUntil is when the last token that a key before it signed has ended.
	OldVerifyUntil time.Time `json:"old_verify_until"`
}

func (p *program) rotateKeyCommand() *cobra.Command {
	var revokeOld, yes bool
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Replace the key that signs tokens",
		Long: `Make a new key and publish it beside the old ones; it signs once every verifier knows
it, and the old ones verify until the last token they signed has ended. Nothing has to
be restarted and no token is refused. --revoke-old is for a key that got out: the new
key signs at once and the old ones are withdrawn, so that every token that is out is
refused: at once by this product, and by Hasura when it next reads the keys, within a
minute. Sessions go on; who has a refresh token or an API key gets a new token by it.`,
		Example: `  nself token rotate-key
  nself token rotate-key --revoke-old --yes`,
		Args: takes(0, 0),
	}
	cmd.Flags().BoolVar(&revokeOld, "revoke-old", false, "end the old keys now, and with them every token that is out")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if revokeOld && !yes {
			const warning = "Every access token that is out is refused at once; who cannot refresh theirs has to sign in again."
			if err := p.agree(cmd.Context(), "ending the old keys", warning); err != nil {
				return err
			}
		}
		key, err := act[signingKey](cmd.Context(), p, rotateSigningKeyMutation, map[string]any{"revoke_old": revokeOld})
		if err != nil {
			return err
		}
		key.OldVerifyUntil = key.SignsFrom
		if !revokeOld {
			key.OldVerifyUntil = key.SignsFrom.Add(token.MaxTTL)
		}
		return p.print(key, func(w *strings.Builder) {
			p.done(w, "Signing key made: %s (%s)", key.KID, key.Algorithm)
			describe(w, "  ", key.fields(revokeOld))
		})
	}
	return cmd
}

func (k signingKey) fields(revokedOld bool) []field {
	old := strings.Join(k.Retiring, ", ")
	if revokedOld {
		return []field{{"Signs from", when(&k.SignsFrom)}, {"Withdrawn", old}}
	}
	return []field{{"Signs from", when(&k.SignsFrom)}, {"Old keys", old}, {"Old keys verify until", when(&k.OldVerifyUntil)}}
}
