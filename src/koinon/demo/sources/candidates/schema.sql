-- The register as its keeper could offer it: tables that nobody else sees, and one view that is the agreement.
create schema candidates;
create table candidates.application_member (
    national_number text primary key,
    application text not null,
    company text not null,
    since date not null,
    closed_on date
);
create view candidates.open_application as
    select national_number, application, company, since, true as simulated
    from candidates.application_member
    where closed_on is null;
