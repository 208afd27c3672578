package pg_test

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
