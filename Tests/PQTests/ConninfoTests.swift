import PQ
import Testing

@Suite("Addresses of databases")
struct ConninfoTests {
    @Test("the summary has host, database and user, but never the password")
    func summary() throws {
        let url = try Conninfo("postgresql://ada:s3cret@db.example:6432/app?sslmode=require&sslpassword=s3cret2")
        #expect(url.summary == "postgresql://db.example:6432/app as ada")
        #expect(try Conninfo("host=/run/postgresql dbname=app user=hark password=s3cret").summary == "postgresql:///app on /run/postgresql as hark")
        #expect(try Conninfo("postgresql://a,b:5433/app?user=hark").summary.hasPrefix("postgresql://a,b:5433/app"))
        #expect(try Conninfo("service=billing password=s3cret").summary == "the database of service “billing”")
    }

    @Test("a parameter can be replaced, or set where nothing else is")
    func with() throws {
        let info = try Conninfo("postgresql:///app?host=/tmp&application_name=web")
        #expect(info.with("dbname", "other")["dbname"] == "other")
        #expect(info.with("dbname", "other").summary.hasPrefix("postgresql:///other on /tmp"))
        #expect(info.withDefault("application_name", "hark")["application_name"] == "web")
        #expect(info.withDefault("keepalives_idle", "30")["keepalives_idle"] == "30")
    }

    @Test(
        "what can not be read is named, without repeating anything that could be a secret",
        arguments: [
            ("host=db password=my s3cret", "missing"), ("postgresql://ada:s3%zzcret@db/app", "percent"),
            ("postgresql://ada:s3cret@[::1/app", "IPv6"), ("password='s3cret", "unterminated"),
            ("postgresql://ada:s3cret@db/app?hots=1", "“hots”"), ("hots=db password=s3cret", "“hots”"),
            ("postgresql://ada:s3cret@db:54x32:1/app?x", "URI"),
        ])
    func unreadable(text: String, says: String) {
        let error = #expect(throws: PostgresError.self) { try Conninfo(text) }
        let said = error?.description ?? ""
        #expect(said.contains(says) && said.hasPrefix("the database address can not be read: "))
        #expect(!said.contains("s3") && !said.contains("cret"))
    }
}
