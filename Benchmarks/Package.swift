// swift-tools-version: 6.2
// What the benchmarks run, a `hark` with functions that do nothing; and what the guard counts, which sees Hark's insides and is built with -enable-testing.
import PackageDescription

let hark = Target.Dependency.product(name: "Hark", package: "hark")

let package = Package(
    name: "hark-bench",
    dependencies: [
        .package(name: "hark", path: ".."),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    ],
    targets: [
        .executableTarget(name: "hark-bench", dependencies: [
            .product(name: "HarkCLI", package: "hark"), hark, .product(name: "Subprocess", package: "swift-subprocess"),
            .product(name: "SystemPackage", package: "swift-system"),
        ]),
        .executableTarget(name: "hark-guard", dependencies: [hark]),
    ]
)
