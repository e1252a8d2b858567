<?php
// Filters and vacation by ManageSieve on port 4190, STARTTLS; the mailbox's own password is used.
$config['managesieve_host'] = 'tls://%h:4190';
$config['junk_mbox'] = 'Junk';
