-- Where somebody withdraws and others go on, only what they asked for is fetched.
GRANT UPDATE (since, until) ON remote.fetch TO koinon_web;
