package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
)

// refuseBroken refuses valid JSON whose text is none: bytes that are not UTF-8, and halves
// of surrogate pairs. Readers put U+FFFD or nothing in their place, each as it likes, so
// two different texts could become one (RFC 8259, sections 8.1 and 8.2).
func refuseBroken(text []byte) error {
	if !utf8.Valid(text) {
		return fault.New(fault.InvalidJSON, "the body is not UTF-8")
	}
	for {
		start := bytes.IndexByte(text, '\\') // in valid JSON only strings hold one
		if start < 0 {
			return nil
		}
		text = text[start:]
		unit, escaped := unitOf(text)
		switch {
		case !escaped:
			text = text[2:] // the backslash and what it escapes
		case !utf16.IsSurrogate(unit):
			text = text[len(`\u0000`):]
		default:
			low, follows := unitOf(text[len(`\u0000`):])
			if !follows || utf16.DecodeRune(unit, low) == unicode.ReplacementChar {
				return fault.New(fault.InvalidJSON, "the body says \\u%04x, which is half of a character", unit)
			}
			text = text[2*len(`\u0000`):]
		}
	}
}

// unitOf is the UTF-16 unit that an escape at the beginning of the text stands for.
func unitOf(text []byte) (unit rune, escaped bool) {
	var number [2]byte
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	if _, err := hex.Decode(number[:], text[2:len(`\u0000`)]); err != nil {
		return 0, false
	}
	return rune(binary.BigEndian.Uint16(number[:])), true
}
