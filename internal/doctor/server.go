package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxReason bounds what is shown of an answer that is not 200, in bytes.
const maxReason = 200

func (x *examination) reachServer(ctx context.Context) (string, error) {
	base, err := url.Parse(x.ServerURL)
	if err != nil || base.Host == "" || base.User != nil || (base.Scheme != "http" && base.Scheme != "https") {
		return "", errors.New("SERVER_URL is not an http:// or https:// URL of a host")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("readyz").String(), nil)
	if err != nil {
		return "", err
	}
	client := x.HTTP
	if client == nil {
		client = &http.Client{Timeout: patience}
	}
	asked := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("SERVER_URL (%s) cannot be reached: %w", base.Host, innermost(err))
	}
	defer func() { _ = response.Body.Close() }() // as much as is shown was read
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxReason))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("/readyz answers %d: %s", response.StatusCode, strings.ToValidUTF8(string(body), "?"))
	}
	x.server = &clockReading{asked: asked, told: time.Now(), resolution: time.Second}
	x.server.theirs, err = http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		x.server.theirs = time.Time{}
	}
	return base.Host + " is ready", nil
}

func (x *examination) serverClock(context.Context) (string, error) {
	if x.server.theirs.IsZero() {
		return "", &finding{"the answer of /readyz bears no Date", "let the proxy before the server pass the Date header"}
	}
	return x.server.check()
}
