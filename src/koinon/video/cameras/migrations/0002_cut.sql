-- What ends a view that is running: the epoch rises in the transaction that takes something away, so that every process
-- judges its running uses anew (docs/design/trust-core.md). What only adds cuts nobody, and an import of thousands of
-- cameras does not make each process judge thousands of times.
CREATE TRIGGER raise_epoch AFTER UPDATE ON cameras.camera FOR EACH ROW
    WHEN ((OLD.shared, OLD.state, OLD.place_kind, OLD.municipality, OLD.zone)
        IS DISTINCT FROM (NEW.shared, NEW.state, NEW.place_kind, NEW.municipality, NEW.zone))
    EXECUTE FUNCTION standing.raise_epoch();
CREATE TRIGGER raise_epoch AFTER DELETE ON cameras.in_group FOR EACH ROW EXECUTE FUNCTION standing.raise_epoch();
CREATE TRIGGER raise_epoch AFTER UPDATE ON cameras.station FOR EACH ROW EXECUTE FUNCTION standing.raise_epoch();
