package actions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/setting"
)

type settingReply struct {
	TenantID  id.Tenant        `json:"tenantId"`
	Key       string           `json:"key"`
	Value     *json.RawMessage `json:"value"`
	UpdatedAt time.Time        `json:"updatedAt"`
}

func replySetting(s setting.Setting, err error) (settingReply, error) {
	return settingReply{TenantID: s.TenantID, Key: s.Key, Value: &s.Value, UpdatedAt: s.UpdatedAt}, err
}

type settingKey struct {
	ownTenant
	Key string `json:"key"`
}

func (in *settingKey) validate(_ session.Session, problems *fault.Problems) {
	setting.CheckKey("key", in.Key, problems)
}

type setTenantSettingInput struct {
	settingKey
	Value json.RawMessage `json:"value"`
}

func (in *setTenantSettingInput) validate(s session.Session, problems *fault.Problems) {
	in.settingKey.validate(s, problems)
	setting.CheckValue("value", in.Key, in.Value, problems)
}

func setTenantSetting(ctx context.Context, tx pgx.Tx, s session.Session, in setTenantSettingInput) (settingReply, error) {
	return replySetting(setting.Set(ctx, tx, s, in.Key, in.Value))
}

func removeTenantSetting(ctx context.Context, tx pgx.Tx, s session.Session, in settingKey) (settingReply, error) {
	return replySetting(setting.Remove(ctx, tx, s, in.Key))
}
