package provider

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/strictjson"
)

// maxToken is the size in bytes from which a token is not looked at.
const maxToken = 16 << 10

// token is a JWT in its parts. Nothing about it is true yet.
type token struct {
	header    header
	claims    claims
	signed    string // what the signature is over
	signature []byte
}

// header holds the members that are gone by. jku, x5u, jwk and x5c are not: a token does
// not choose the key that it is checked with.
type header struct {
	algorithm string
	kid       string // empty where there is none
	typ       string
}

// types are what a token may call itself (RFC 8725 section 3.11): an ID token or an
// access token, but not what the same keys sign for other uses, such as a logout.
var types = []string{"", "jwt", "at+jwt"}

func parse(text string) (token, error) {
	if len(text) > maxToken {
		return token{}, refuse("is larger than 16 KiB")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || strings.ContainsAny(text, "\r\n") { // the decoder skips line ends
		return token{}, refuse("is no JWT of three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return token{}, refuse("is not base64url")
		}
	}
	head, err := parseHeader(decoded[0])
	if err != nil {
		return token{}, err
	}
	members, err := readObject(decoded[1])
	if err != nil {
		return token{}, refuse("has claims that are no JSON object whose names are all different")
	}
	return token{head, members, parts[0] + "." + parts[1], decoded[2]}, nil
}

func parseHeader(text []byte) (header, error) {
	members, err := readObject(text)
	if err != nil {
		return header{}, refuse("has a header that is no JSON object whose names are all different")
	}
	var h header
	var content string
	for name, value := range map[string]*string{"alg": &h.algorithm, "kid": &h.kid, "typ": &h.typ, "cty": &content} {
		if *value, err = claims(members).text(name); err != nil {
			return header{}, err
		}
	}
	_, critical := members["crit"]
	switch {
	case critical:
		return header{}, refuse("demands an extension in crit; there is none that is known here")
	case content != "":
		return header{}, refuse("holds another token")
	case !slices.Contains(types, strings.TrimPrefix(strings.ToLower(h.typ), "application/")):
		return header{}, refuse("is of a type that is not for signing in")
	}
	return h, nil
}

func (h header) check(algorithms []string) error {
	if !slices.Contains(algorithms, h.algorithm) {
		return refuse("is signed with an algorithm that is not allowed for its provider")
	}
	return nil
}

// readObject reads a JSON object into its members, by their exact names: into a struct,
// encoding/json would take names in other case for the same.
func readObject(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) { // two invalid texts would become the same valid one
		return nil, errors.New("not UTF-8")
	}
	if err := strictjson.Check(text, nil); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, errors.New("not an object")
	}
	return members, nil
}
