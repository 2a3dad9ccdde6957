"""The views: what people and checks read, each after those that it reads.

The solvers whose votes do not count, each vote with its batch (excluded: its solver's votes, or this one, do
not count), each item with its state, the usable labels,
the revisions of each label with who gave them and why, and the votes of each dataset (received = applied +
unprocessed + quarantined + excluded, the applied from the labels and the others from the votes: two sources
that must agree).
"""

VIEWS = {
    "active_exclusions": """
        SELECT e.exclusion_id, e.solver_id, e.dataset_id, e.reason, e.actor, e.created_at
        FROM exclusions e
        WHERE e.undone_by IS NULL
          AND NOT EXISTS (SELECT 1 FROM exclusions u WHERE u.undone_by = e.exclusion_id)
    """,
    "vote_status": """
        SELECT v.vote_id, v.item_id, v.solver_id, v.answer, v.duration_ms, v.created_at, v.excluded,
               v.vote_id <= coalesce(l.applied_through, 0) AND NOT v.excluded AS processed,
               CASE WHEN v.vote_id <= l.applied_through AND NOT v.excluded THEN (
                   SELECT max(b.batch_id) FROM batches b
                   WHERE b.item_id = v.item_id AND b.generation = l.generation
                     AND b.first_vote_id <= v.vote_id AND b.last_vote_id >= v.vote_id
               ) END AS batch_id
        FROM (
            SELECT w.vote_id, w.item_id, w.solver_id, w.answer, w.duration_ms, w.created_at, EXISTS (
                SELECT 1 FROM active_exclusions e JOIN items i ON i.dataset_id = e.dataset_id
                WHERE i.item_id = w.item_id AND e.solver_id = w.solver_id
            ) OR EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = w.vote_id) AS excluded
            FROM votes w
        ) v LEFT JOIN labels l ON l.item_id = v.item_id
    """,
    "item_status": """
        SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, i.gold_label,
               CASE WHEN i.gold_label IS NULL THEN coalesce(l.state, 'unlabeled') ELSE 'gold' END
                   AS state,
               l.label, l.confidence, coalesce(l.vote_count, 0) AS vote_count,
               coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count,
               coalesce(l.revalidation_epochs, 0) AS revalidation_epochs, l.policy_id,
               coalesce(l.generation, 1) AS generation,
               coalesce(l.applied_through, 0) AS applied_through,
               l.created_at AS labelled_at, l.updated_at
        FROM items i LEFT JOIN labels l ON l.item_id = i.item_id
    """,
    "finalized_labels": """
        SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, l.label, l.confidence,
               l.vote_count + l.revalidation_vote_count AS solver_count, l.created_at, l.state,
               l.needs_review, l.policy_id, i.gold_label
        FROM labels l JOIN items i ON i.item_id = l.item_id
        WHERE l.state IN ('in_revalidation', 'graduated')
    """,
    "label_revisions": """
        SELECT b.item_id, i.dataset_id, b.batch_id,
               row_number() OVER (PARTITION BY b.item_id ORDER BY b.batch_id) AS revision,
               b.generation, b.label, b.confidence_after AS confidence, b.state_after AS state,
               coalesce(r.decision, 'votes') AS source, r.reviewer AS actor, r.reason,
               b.policy_id, b.run_id, (
                   SELECT max(s.version) FROM schema_versions s
                   WHERE s.dataset_id = i.dataset_id AND s.ledger_position < b.batch_id
               ) AS schema_version, b.applied_at AS created_at
        FROM batches b JOIN items i ON i.item_id = b.item_id
        LEFT JOIN reviews r ON r.review_id = b.review_id
        WHERE b.kind <> 'revalidation'
    """,
    "vote_counts": """
        SELECT d.dataset_id,
               (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                WHERE i.dataset_id = d.dataset_id)
               + (SELECT count(*) FROM quarantined_votes q WHERE q.dataset_id = d.dataset_id) AS received,
               (SELECT coalesce(sum(l.vote_count + l.revalidation_vote_count), 0) FROM labels l
                WHERE l.dataset_id = d.dataset_id) AS applied,
               (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                LEFT JOIN labels l ON l.item_id = v.item_id
                WHERE i.dataset_id = d.dataset_id AND v.vote_id > coalesce(l.applied_through, 0)
                  AND NOT EXISTS (SELECT 1 FROM active_exclusions e
                                  WHERE e.dataset_id = d.dataset_id AND e.solver_id = v.solver_id)
                  AND NOT EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = v.vote_id)
               ) AS unprocessed,
               (SELECT count(*) FROM quarantined_votes q WHERE q.dataset_id = d.dataset_id) AS quarantined,
               CASE WHEN EXISTS (SELECT 1 FROM active_exclusions a WHERE a.dataset_id = d.dataset_id)
                      OR EXISTS (SELECT 1 FROM withdrawals x WHERE x.dataset_id = d.dataset_id) THEN
                   (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                    WHERE i.dataset_id = d.dataset_id)
                   - (SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id
                      WHERE i.dataset_id = d.dataset_id
                        AND NOT EXISTS (SELECT 1 FROM active_exclusions e
                                        WHERE e.dataset_id = d.dataset_id AND e.solver_id = v.solver_id)
                        AND NOT EXISTS (SELECT 1 FROM withdrawals x WHERE x.vote_id = v.vote_id))
               ELSE 0 END AS excluded
        FROM datasets d
    """,
}
