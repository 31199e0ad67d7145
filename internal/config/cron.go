package config

import (
	"errors"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// ParseCron reads update.autoUpdateCron: five fields, or a name such as
// @daily. If both day fields are restricted, either one matching is enough,
// as in every crontab. The zone is not part of the expression; give the
// schedule times in the zone that it is meant in (UpdateConfig.Location).
//
// Errors: an expression that can't be read, that names its own zone, that
// never comes true, or that repeats by interval.
func ParseCron(expr string) (cron.Schedule, error) {
	switch {
	case strings.Contains(expr, "TZ="):
		return nil, errors.New("the time zone doesn't belong here: set update.timezone")
	case strings.HasPrefix(strings.TrimSpace(expr), "@every"):
		return nil, errors.New("@every would start anew with each restart: give times instead")
	}
	fields := cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom
	parser, err := cron.TryNewParser(fields)
	if err != nil {
		return nil, err
	}
	schedule, err := parser.Parse(expr)
	if err != nil {
		return nil, errors.New("not a cron expression: " + oneLine(err.Error()))
	}
	if schedule.Next(time.Now()).IsZero() {
		return nil, errors.New("this never comes true")
	}
	return schedule, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
