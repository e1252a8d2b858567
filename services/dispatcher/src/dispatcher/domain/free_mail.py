"""Domains where anybody can have an address: two people there are not of one company.

Each is a domain that the provider itself offers at sign-up or lists among its own: the help pages of
Google, Microsoft, Yahoo, Apple, Proton, GMX and WEB.DE (United Internet), Yandex, Mail.ru, NetEase,
Tencent, Orange, Free, La Poste, Libero, Virgilio, Telekom, BT, Comcast, AT&T, Seznam, WP, Onet, Interia,
UOL, Terra, Naver, Daum and Rediff, as of 2026. Missing ones cost little: colleagues that are none wait
for an operator.
"""

_LIST = """
126.com 139.com 163.com 189.cn 1und1.de 21cn.com abv.bg aim.com alice.it aliceadsl.fr aliyun.com
ameritech.net aol.co.uk aol.com aol.de aol.fr aon.at arcor.de atlas.cz att.net au.com autorambler.ru
azet.sk bbox.fr bell.net bellsouth.net biglobe.ne.jp bigmir.net bigpond.com bigpond.net.au bk.ru
blu.it bluewin.ch blueyonder.co.uk bol.com.br bredband.net btinternet.com btopenworld.com
cegetel.net centrum.cz centrum.sk centurylink.net charter.net chello.at citromail.hu clix.pt
club-internet.fr cogeco.ca comcast.net comhem.se consultant.com cox.net daum.net disroot.org
docomo.ne.jp dr.com duck.com earthlink.net eircom.net elisanet.fi email.com email.cz email.it
engineer.com europe.com excite.com ezweb.ne.jp fastmail.com fastmail.fm fastwebnet.it foxmail.com
free.fr freemail.hu freenet.de frontier.com frontiernet.net gazeta.pl getmail.no globo.com
globomail.com gmail.com gmx.at gmx.ch gmx.co.uk gmx.com gmx.de gmx.es gmx.eu gmx.fr gmx.info gmx.net
gmx.org gmx.us googlemail.com hanmail.net hetnet.nl hey.com hispeed.ch home.nl hotmail.be
hotmail.co.uk hotmail.com hotmail.com.br hotmail.de hotmail.es hotmail.fr hotmail.it hotmail.nl
hotmail.se hushmail.com hushmail.me i.softbank.jp i.ua icloud.com ig.com.br iinet.net.au inbox.com
inbox.lt inbox.lv inbox.ru indamail.hu indiatimes.com interia.eu interia.pl internet.ru inwind.it
iol.it iol.pt juno.com kabelmail.de kakao.com keemail.me kpnmail.nl laposte.net lenta.ru libero.it
list.ru live.be live.ca live.co.uk live.com live.com.au live.de live.dk live.fr live.it live.nl
live.no live.se luukku.com lycos.com mac.com magenta.de mail.bg mail.com mail.dk mail.ee mail.ru
mailbox.org mailfence.com me.com meta.ua mindspring.com msn.com mynet.com myrambler.ru myself.com
myyahoo.com narod.ru nate.com naver.com netscape.net netzero.net neuf.fr nifty.com ntlworld.com
numericable.fr o2.co.uk o2.pl one.lv onet.eu onet.pl online.de online.no op.pl optimum.net
optonline.net optusnet.com.au orange.fr outlook.com outlook.com.au outlook.com.br outlook.de
outlook.es outlook.fr outlook.it outlook.jp pacbell.net passport.com planet.nl pm.me poczta.onet.pl
post.com post.cz posteo.de proton.me protonmail.ch protonmail.com proximus.be q.com qq.com r7.com
rambler.ru rediff.com rediffmail.com riseup.net ro.ru roadrunner.com rocketmail.com rogers.com
rr.com runbox.com sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca sify.com sina.cn sina.com sky.com
skynet.be so-net.ne.jp softbank.ne.jp sohu.com spectrum.net spray.se startmail.com stofanet.dk
sunrise.ch suomi24.fi sympatico.ca t-online.de talktalk.net tele2.se telefonica.net telenet.be
telia.com telus.net terra.com.br terra.es tim.it tin.it tiscali.co.uk tiscali.it tlen.pl tom.com
tpg.com.au tuta.com tuta.io tutamail.com tutanota.com tutanota.de twc.com ukr.net uol.com.br usa.com
verizon.net videotron.ca vip.163.com virgilio.it virgin.net virginmedia.com vodafone.de
vodafonemail.de voila.fr volny.cz vp.pl walla.co.il walla.com wanadoo.fr web.de windstream.net wp.pl
xfinity.com xs4all.nl xtra.co.nz ya.ru yahoo.ca yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.nz
yahoo.co.uk yahoo.com yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.hk yahoo.com.mx yahoo.com.ph
yahoo.com.sg yahoo.com.tr yahoo.com.tw yahoo.com.vn yahoo.de yahoo.es yahoo.fr yahoo.ie yahoo.in
yahoo.it yahoo.pl yahoo.se yandex.by yandex.com yandex.kz yandex.ru yandex.ua yeah.net ymail.com
zahav.net.il ziggo.nl zipmail.com.br zoho.com zohomail.com zohomail.eu zohomail.in zoznam.sk
"""

FREE_MAIL_DOMAINS = frozenset(_LIST.split())
