// Run by mongosh, again at every start: one-node replica set (transactions and majority writes need
// one), then a user for each service that may use its own database and nothing else.
// MONGO_HOST is how the services and the member itself reach the server.

const member = process.env.MONGO_HOST || "mongo:27017";
const services = [
  "sender_registry",
  "dispatcher",
  "inbox_watcher",
  "tracker",
  "mail_provisioner",
];

function initiate() {
  try {
    rs.status();
  } catch (error) {
    if (error.codeName !== "NotYetInitialized") throw error;
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: member }] });
    print(`replica set rs0 initiated with ${member}`);
  }
}

function waitForPrimary() {
  for (let waited = 0; !db.hello().isWritablePrimary; waited += 1) {
    if (waited === 60) throw new Error(`${member} is not primary after 60 s: see its log`);
    sleep(1000);
  }
}

function grant(service) {
  const variable = `${service.toUpperCase()}_PASSWORD`;
  const password = process.env[variable];
  if (!password) throw new Error(`${variable} is empty: run deploy/make-env`);
  const database = db.getSiblingDB(service);
  const user = { pwd: password, roles: [{ role: "readWrite", db: service }] };
  if (database.getUser(service) === null) database.createUser({ user: service, ...user });
  else database.updateUser(service, user);
}

db.getSiblingDB("admin").auth(
  process.env.MONGO_INITDB_ROOT_USERNAME,
  process.env.MONGO_INITDB_ROOT_PASSWORD,
);
initiate();
waitForPrimary();
services.forEach(grant);
print(`ready: ${services.join(", ")}`);
