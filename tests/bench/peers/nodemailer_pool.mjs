// Nodemailer's pool as its documentation shows it; a job as JSON comes in argv, a result as JSON goes out.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.POSTFLEET_NODE_PACKAGES + "/");
const nodemailer = require("nodemailer");
const job = JSON.parse(process.argv[2]);

const options = {
  host: "127.0.0.1",
  port: job.port,
  pool: true,
  maxConnections: job.connections,
  maxMessages: Infinity,
  name: "bench.test",
};
if (job.ca_file) {
  options.requireTLS = true;
  options.tls = { ca: readFileSync(job.ca_file), servername: "localhost" };
  options.auth = { user: job.username, pass: job.password };
} else {
  options.ignoreTLS = true;
}
const transport = nodemailer.createTransport(options);
const raw = readFileSync(job.content_file);

function mail(number) {
  const to = job.recipient.replace("*", number);
  if (!job.compose) return { envelope: { from: job.reverse_path, to }, raw };
  return {
    from: `"Ann Sender" <${job.reverse_path}>`,
    to,
    subject: `An offer for number ${number}`,
    text: job.text.replaceAll("{{ first_name }}", `Person ${number}`),
    html: job.html.replaceAll("{{ first_name }}", `Person ${number}`),
    headers: { "List-Unsubscribe": `<https://track.test/u/${number}>` },
  };
}

async function send(from, count) {
  let next = from;
  const lane = async () => {
    while (next < from + count) await transport.sendMail(mail(next++));
  };
  await Promise.all(Array.from({ length: job.connections * 2 }, lane));
}

if (job.warm_up) await send(0, job.warm_up);
const cpu = process.cpuUsage();
const began = performance.now();
await send(job.warm_up, job.count);
const seconds = (performance.now() - began) / 1000;
const used = process.cpuUsage(cpu);
transport.close();
console.log(JSON.stringify({ mails: job.count, seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
