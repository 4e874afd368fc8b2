comment on column analytics.build_results_daily.failure_rate is 'Failed builds divided by passed and failed ones, 0 to 1.';
comment on column analytics.build_results_daily.first_failure_rate is 'Builds that failed at the first attempt, divided by passed and failed ones, 0 to 1.';
comment on column analytics.trunk_health_daily.green_rate is 'Passed builds divided by passed and failed ones, 0 to 1. Null if all wait at a gate.';
comment on column analytics.trunk_health_daily.blocked is 'How many wait at a gate. They count as neither green nor red. Null on days that were not rebuilt since this column was added.';
