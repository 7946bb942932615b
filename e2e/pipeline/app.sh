# What the images run: says that it is there, and stays until it is told to go.
echo "the cargo has landed"
trap 'exit 0' TERM
sleep 3600 &
wait
