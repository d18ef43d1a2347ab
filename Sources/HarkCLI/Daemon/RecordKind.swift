/// The kinds of records that a worker writes about itself and its tasks: HARK_EVENT, and by its number MESSAGE_ID.
///
/// The numbers are a contract: people and monitoring filter by them. systemd/hark.catalog explains each one, for `journalctl -x`.
enum RecordKind: String, CaseIterable, Sendable {
    case joined
    case listening
    case polling
    case waiting
    case refused
    case accepted
    case lacking
    case draining
    case reloaded
    case notReloaded = "not_reloaded"
    case trouble
    case started
    case completed
    case retried
    case failed
    case cancelled
    case snoozed
    case released
    case rescued
    case blocked
    case late
    case deaf

    /// As in systemd.journal-fields(7): random once, the same for ever.
    var messageID: String {
        switch self {
        case .joined: "b9287408b6eb499f97e499d50fbe0770"
        case .listening: "df7c4db450d541e1b21b22966e5c7e65"
        case .polling: "b09d441a78b94a5cbb759687a1e0aaae"
        case .waiting: "a7b858b0f7aa485ab97e2339312ae576"
        case .refused: "b9306545fd8749dfaa420acbaa7c3763"
        case .accepted: "e2220bf5c5704a149a535658958160f6"
        case .lacking: "70539d32ecc44a3789304dd4a011329c"
        case .draining: "39f7b9e8c7b14bcd9bef914be58585c6"
        case .reloaded: "86010afcf14f427ba6eff6255b37003f"
        case .notReloaded: "d3f9dc463fc04f15a23b75475be24662"
        case .trouble: "f0b1030c906143ebb4c3edb955554f77"
        case .started: "8f9bf4d6714842c1a4c5d94ec89e05f8"
        case .completed: "a0e1787ca055499f9d4ba950b4b8b358"
        case .retried: "b1a1b64987d94d9e879d95d4d7145f71"
        case .failed: "447002eb687a436989ea7864eb38e952"
        case .cancelled: "38873b831fe94452a86d73369e17a0d7"
        case .snoozed: "83879df6da5c40cd9f94c898e2efee60"
        case .released: "297b5067dc264ec2930f2b49eb738e7b"
        case .rescued: "89134c79e7d24c99b5689f8d32394412"
        case .blocked: "0336f5e5eaef4fb39aaff3769a1007f1"
        case .late: "51dac12a7b6e4ca9bd25487a86388b80"
        case .deaf: "7b5fd0cc457141daa821ee53d3595eb0"
        }
    }
}
