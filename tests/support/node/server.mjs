// smtp-server (Node.js): refuses reject*, passes on what it took. argv: PORT NEXT_HOP_PORT
import { createRequire } from "node:module";

const require = createRequire(process.env.POSTFLEET_NODE_PACKAGES + "/");
const { SMTPServer } = require("smtp-server");
const nodemailer = require("nodemailer");
const [port, nextHop] = process.argv.slice(2).map(Number);
const onwards = nodemailer.createTransport({ host: "127.0.0.1", port: nextHop, pool: true, ignoreTLS: true });

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["AUTH", "STARTTLS"],
  onRcptTo({ address }, session, done) {
    if (!address.startsWith("reject")) return done();
    done(Object.assign(new Error("5.1.1 nobody of that name"), { responseCode: 550 }));
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", () => {
      const { mailFrom, rcptTo } = session.envelope;
      const envelope = { from: mailFrom.address, to: rcptTo.map((one) => one.address) };
      onwards.sendMail({ envelope, raw: Buffer.concat(chunks) }).then(() => done(), done);
    });
  },
});
server.listen(port, "127.0.0.1");
