// swift-tools-version: 6.2
// Read the targets bottom-up: they are the architecture (Documentation/Architecture.md). Arrows only point down, and
// `scripts/test` builds with the explicit-import check, so the compiler holds us to it.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")

let package = Package(
    name: "hark",
    products: [
        // With PQ, whose Conninfo, Connection and EventLoop are part of what Hark takes.
        .library(name: "Hark", targets: ["Hark", "PQ"]),
        .library(name: "HarkCLI", targets: ["HarkCLI"]),
        .executable(name: "hark", targets: ["hark-main"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    ],
    targets: [
        // C: libpq's and libsystemd's headers, what Glibc's module map lacks, and the text files that ship inside the binary.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .target(name: "CLinux"),
        .target(name: "CHarkFiles"),

        // Talks to PostgreSQL; knows nothing of tasks.
        .target(name: "PQ", dependencies: ["CLibpq", "CLinux"], swiftSettings: strict),
        // Talks to systemd; knows nothing of tasks. `Hark` does not have it: an embedded worker must not speak for its host.
        .target(name: "Systemd", dependencies: ["CSystemd", logging], swiftSettings: strict),
        // The schema: the top-level migrations/ folder, as values.
        .target(name: "HarkMigrations", dependencies: ["CHarkFiles"], swiftSettings: strict),
        // Thinks: the brain, the worker, the store, the runners.
        .target(
            name: "Hark",
            dependencies: ["PQ", "CLinux", "CHarkFiles", "HarkMigrations", logging, lifecycle, subprocess, system],
            exclude: ["Store/SQL", "Runners/Python/interpreter"], swiftSettings: strict),
        // A private PostgreSQL in a directory of its own, for `hark dev` and for tests.
        .target(name: "HarkCluster", dependencies: ["CLinux", subprocess, system], swiftSettings: strict),
        // Serves: the verbs and the daemon.
        .target(
            name: "HarkCLI",
            dependencies: ["Hark", "HarkMigrations", "HarkCluster", "PQ", "Systemd", "CLinux", arguments, logging, lifecycle, signals, toml],
            swiftSettings: strict),
        .executableTarget(name: "hark-main", dependencies: ["HarkCLI", arguments], swiftSettings: strict),

        .target(name: "TestSupport", dependencies: ["HarkCluster", "HarkMigrations", "PQ", "CLinux"], path: "Tests/Support", swiftSettings: strict),
        .testTarget(name: "PQTests", dependencies: ["PQ", "HarkCluster", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "HarkTests", dependencies: ["Hark", "PQ", "HarkMigrations", "CHarkFiles", "TestSupport", logging, lifecycle], swiftSettings: strict),
        .testTarget(
            name: "HarkCLITests",
            dependencies: ["HarkCLI", "hark-main", "Hark", "PQ", "Systemd", "HarkCluster", "TestSupport", logging, subprocess, system], swiftSettings: strict),
    ],
    cLanguageStandard: .c2x
)
