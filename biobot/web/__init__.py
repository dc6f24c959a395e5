"""The console: thin views over the app's verbs, in a process that never imports torch or numpy.

assets     the files under static/, in memory: a name that is not one of them is no path at all
keys       one-time links and the sessions that they open
guard      who may ask for what: Host, Origin, session, size and patience, and the headers of every answer
jobs       the children that sample, judge and measure, and their end
render     templates and how times, numbers and texts are shown
queue, lab, training, history   the four pages
app        the routes
serve      the address, the server's life, and its end within three seconds
"""
