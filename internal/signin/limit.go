package signin

import (
	"time"

	"github.com/nself/tenancy/internal/rate"
)

// What strangers may try.
var (
	linksPerAddress    = rate.Window{Most: 5, Within: 15 * time.Minute}
	linksPerNetwork    = rate.Window{Most: 30, Within: 15 * time.Minute}
	failuresPerNetwork = rate.Window{Most: 60, Within: 15 * time.Minute}
)
