package actions

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

type meterReply struct {
	Code         string    `json:"code"`
	Name         string    `json:"name"`
	Unit         string    `json:"unit"`
	Aggregation  string    `json:"aggregation"`
	Deciding     string    `json:"deciding"`
	LeaseSize    int64     `json:"leaseSize"`
	OnOutage     string    `json:"onOutage"`
	DefaultLimit int64     `json:"defaultLimit"`
	BuiltIn      bool      `json:"builtIn"`
	CreatedAt    time.Time `json:"createdAt"`
}

type defineMeterInput struct {
	Code         string  `json:"code"`
	Name         *string `json:"name"`
	Unit         *string `json:"unit"`
	Aggregation  *string `json:"aggregation"`
	Deciding     *string `json:"deciding"`
	LeaseSize    *bigint `json:"leaseSize"`
	OnOutage     *string `json:"onOutage"`
	DefaultLimit *bigint `json:"defaultLimit"`
	clean        usage.MeterInput
}

func (in *defineMeterInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = usage.MeterInput{
		Code: in.Code, Name: in.Name, Unit: in.Unit, Aggregation: (*usage.Aggregation)(in.Aggregation), Deciding: in.Deciding,
		LeaseSize: (*int64)(in.LeaseSize), OnOutage: in.OnOutage, DefaultLimit: (*int64)(in.DefaultLimit),
	}
	in.clean.Validate(problems)
}

func defineMeter(ctx context.Context, tx pgx.Tx, s session.Session, in defineMeterInput) (meterReply, error) {
	m, err := usage.DefineMeter(ctx, tx, s, in.clean)
	return meterReply{
		Code: m.Code, Name: m.Name, Unit: m.Unit, Aggregation: string(m.Aggregation), Deciding: m.Deciding, LeaseSize: m.LeaseSize,
		OnOutage: m.OnOutage, DefaultLimit: m.DefaultLimit, BuiltIn: m.BuiltIn, CreatedAt: m.CreatedAt,
	}, err
}

type meterCode struct {
	Code string `json:"code"`
}

func removeMeter(ctx context.Context, tx pgx.Tx, s session.Session, in meterCode) (meterCode, error) {
	return in, usage.RemoveMeter(ctx, tx, s, in.Code)
}

type sourceReply struct {
	Table        string  `json:"table"`
	Meter        string  `json:"meter"`
	TenantColumn string  `json:"tenantColumn"`
	AmountColumn *string `json:"amountColumn"`
	ValueColumn  *string `json:"valueColumn"`
	TimeColumn   *string `json:"timeColumn"`
	BuiltIn      bool    `json:"builtIn"`
}

func replySource(s usage.Source, err error) (sourceReply, error) {
	return sourceReply{
		Table: s.Schema + "." + s.Table, Meter: s.Meter, TenantColumn: s.TenantColumn, AmountColumn: s.AmountColumn,
		ValueColumn: s.ValueColumn, TimeColumn: s.TimeColumn, BuiltIn: s.BuiltIn,
	}, err
}

// sourceName is a table and the meter it is counted in.
type sourceName struct {
	Table string `json:"table"`
	Meter string `json:"meter"`
}

func (n sourceName) source(problems *fault.Problems) usage.Source {
	schema, table, whole := strings.Cut(n.Table, ".")
	if !whole || schema == "" || table == "" {
		problems.Add("table", "must be schema.table; got %.80q", n.Table)
	}
	return usage.Source{Schema: schema, Table: table, Meter: n.Meter}
}

type addSourceInput struct {
	sourceName
	TenantColumn *string `json:"tenantColumn"`
	AmountColumn *string `json:"amountColumn"`
	ValueColumn  *string `json:"valueColumn"`
	TimeColumn   *string `json:"timeColumn"`
	clean        usage.Source
}

func (in *addSourceInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = in.source(problems)
	in.clean.TenantColumn, in.clean.AmountColumn = value(in.TenantColumn), in.AmountColumn
	in.clean.ValueColumn, in.clean.TimeColumn = in.ValueColumn, in.TimeColumn
}

func addMeterSource(ctx context.Context, tx pgx.Tx, s session.Session, in addSourceInput) (sourceReply, error) {
	return replySource(usage.AddSource(ctx, tx, s, in.clean))
}

type removeSourceInput struct {
	sourceName
	clean usage.Source
}

func (in *removeSourceInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = in.source(problems)
}

func removeMeterSource(ctx context.Context, tx pgx.Tx, s session.Session, in removeSourceInput) (sourceName, error) {
	return in.sourceName, usage.RemoveSource(ctx, tx, s, in.clean)
}

func meterSources(ctx context.Context, tx pgx.Tx, _ session.Session, _ noInput) ([]sourceReply, error) {
	list, err := usage.Sources(ctx, tx)
	replies := make([]sourceReply, len(list))
	for i, source := range list {
		replies[i], _ = replySource(source, nil)
	}
	return replies, err
}
