import FoundationEssentials
@testable import Hark
import PQ
import TestSupport

/// One node of what EXPLAIN says, with those below it.
struct Plan: Decodable, Sendable {
    let kind: String
    let operation: String?
    let relation: String?
    let index: String?
    let condition: String?
    let relationship: String?
    let children: [Plan]?

    private enum CodingKeys: String, CodingKey {
        case kind = "Node Type", operation = "Operation", relation = "Relation Name", index = "Index Name", condition = "Index Cond"
        case relationship = "Parent Relationship", children = "Plans"
    }

    /// This node and all below it.
    var nodes: [Plan] { [self] + (children ?? []).flatMap(\.nodes) }

    /// How this plan touches tables: `tasks by tasks_ready`, `insert tasks_finished`, `tasks by Seq Scan`.
    var accesses: Set<String> {
        Set(nodes.compactMap { node in
            switch (node.kind, node.relation, node.index) {
            case ("ModifyTable", let relation?, _): "\((node.operation ?? "").lowercased()) \(relation)"
            case ("Bitmap Heap Scan", _, _): nil  // its index is a node below it
            case ("Bitmap Index Scan", _, let index?): "bitmap of \(index)"
            case (_, let relation?, let index?): "\(relation) by \(index)"
            case (let kind, let relation?, nil): "\(relation) by \(kind)"
            default: nil
            }
        })
    }

    /// Sorts whose input comes from a table of tasks. A CTE is a plan of its own: sorting the few rows that it hands on is fine.
    var sortsOfTasks: [Plan] {
        nodes.filter { node in
            ["Sort", "Incremental Sort"].contains(node.kind) && node.inputs.contains { $0.relation?.hasPrefix("tasks") == true }
        }
    }

    private var inputs: [Plan] { [self] + (children ?? []).filter { $0.relationship != "InitPlan" }.flatMap(\.inputs) }
}

extension Connection {
    /// The generic plan of a statement of the store, in this session.
    func plan(of statement: Statement) async throws -> Plan {
        try await script("prepare explained as\n\(statement.sql)")
        let count = try await execute("select cardinality(parameter_types) from pg_prepared_statements where name = 'explained'").first?.int(0) ?? 0
        let nulls = Array(repeating: "null", count: count).joined(separator: ", ")
        let rows = try await execute("explain (format json) execute explained\(count > 0 ? "(\(nulls))" : "")")
        try await script("deallocate explained")
        struct Root: Decodable { let Plan: HarkTests.Plan }
        let roots = try JSONDecoder().decode([Root].self, from: Data(rows.first?.string(0).utf8 ?? "[]".utf8))
        guard let root = roots.first else { throw PostgresError(message: "no plan of \(statement.name)") }
        return root.Plan
    }
}
